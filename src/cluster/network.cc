#include "cluster/network.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/progress.h"

namespace flashlm {
namespace {

// The largest of what ranks have measured.
double Largest(Ranks& ranks, double own) {
  const std::vector<std::string> all = ranks.Gather({reinterpret_cast<const char*>(&own), sizeof(own)});
  for (const std::string& bytes : all) {
    double other;
    std::memcpy(&other, bytes.data(), sizeof(other));
    own = std::max(own, other);
  }
  return own;
}

// Seconds in which every rank sends `bytes` to the next and gets as many from the one before.
double SecondsOfRound(Ranks& ranks, std::vector<char>& sent, std::vector<char>& received, size_t bytes, int rounds) {
  const int next = (ranks.rank() + 1) % ranks.size(), before = (ranks.rank() + ranks.size() - 1) % ranks.size();
  ranks.Gather("");  // all begin together
  const Stopwatch watch;
  for (int i = 0; i < rounds; ++i) {
    ranks.Receive(before, received.data(), bytes);
    ranks.Send(next, sent.data(), bytes);
    ranks.Wait();
  }
  return Largest(ranks, watch.Seconds() / rounds);
}

// Seconds in which a rank sends all values but its own part, each of `bytes`, while it gets as many.
double Transfer(const Link& link, double values, double bytes, int machines) {
  return values * bytes * (machines - 1) / machines / link.bandwidth;
}

// Of a step on one machine; what it waits for are those that have most.
double MostSequences(int64_t sequences, int machines) {
  const int64_t most = (sequences + machines - 1) / machines;
  return static_cast<double>(most);
}

}  // namespace

Link MeasureLink(Ranks& ranks) {
  constexpr size_t kLarge = 8 << 20;
  std::vector<char> sent(kLarge), received(kLarge);
  SecondsOfRound(ranks, sent, received, kLarge, 1);  // makes connections, touches memory
  const double small = SecondsOfRound(ranks, sent, received, 8, 200);
  const double once = SecondsOfRound(ranks, sent, received, kLarge, 1);
  const int rounds = std::clamp(static_cast<int>(1.0 / once), 1, 50);  // about a second, the same number everywhere
  const double large = SecondsOfRound(ranks, sent, received, kLarge, rounds);
  return {small, static_cast<double>(kLarge) / std::max(1e-9, large - small)};
}

double StepSeconds(const StepCost& cost, const Link& link, int machines) {
  if (machines == 1) return cost.passes + cost.optimizer;
  constexpr int kMessages = 4;  // gradients, losses, values, what rank 0 decides: each waits for the one before
  const double sequences = MostSequences(cost.sequences, machines);
  const auto values = static_cast<double>(cost.parameters);
  return cost.passes * sequences / static_cast<double>(cost.sequences) + cost.optimizer / machines +
         Transfer(link, values, 2 * cost.step_bytes, machines) + kMessages * link.latency;
}

double LocalStepSeconds(const StepCost& cost, const Link& link, int machines, int every) {
  if (machines == 1) return cost.passes + cost.optimizer;
  constexpr int kMessages = 3;  // differences, their mean, what rank 0 decides
  const double sequences = MostSequences(cost.sequences, machines);
  const double exchange = Transfer(link, static_cast<double>(cost.parameters), 2 * cost.difference_bytes, machines) +
                          kMessages * link.latency;
  return cost.passes * sequences / static_cast<double>(cost.sequences) + cost.optimizer + exchange / every;
}

}  // namespace flashlm
