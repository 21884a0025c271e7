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

// Messages that a small and a large one take: MPI announces what is large, is asked for it, and sends it.
constexpr int kSmall = 1, kLarge = 3;
// Gradients, losses, values, what rank 0 decides: each waits for the one before.
constexpr int kMessagesOfAStep = 2 * kLarge + 2 * kSmall;

// Of so many that are shared out: what the others wait for are those who have most.
int64_t Most(int64_t all, int members) { return (all + members - 1) / members; }

// Of the passes of the machine that has most.
double PassesOf(const StepCost& cost, int machines) {
  const auto sequences = static_cast<double>(Most(cost.sequences, machines));
  return cost.passes * sequences / static_cast<double>(cost.sequences);
}

// From the beginning of a step until every machine has the gradients that it sums: what is complete travels, one after
// the other, while the last passes go on.
double SecondsOfGradients(const StepCost& cost, const Link& link, int machines) {
  const double passes = PassesOf(cost, machines);
  const auto turns = static_cast<double>(Most(Most(cost.leaves, machines), cost.side_by_side));
  double seconds = 0;
  int64_t left = cost.parameters;
  for (const auto& [share, values] : cost.completed) {
    seconds = std::max(seconds, passes - (1 - share) * passes / turns) +
              Transfer(link, static_cast<double>(values), cost.step_bytes, machines);
    left -= values;
  }
  return std::max(seconds, passes) + Transfer(link, static_cast<double>(left), cost.step_bytes, machines);
}

// From then until every machine has all new values: parts are updated and travel one after the other.
double SecondsOfValues(const StepCost& cost, const Link& link, int machines) {
  const double update = cost.optimizer / machines, parts = PartsOfARank(machines);
  const double values = Transfer(link, static_cast<double>(cost.parameters), cost.step_bytes, machines);
  return std::max(update + values / parts, update / parts + values);
}

}  // namespace

int PartsOfARank(int ranks) { return std::clamp(24 / ranks, 1, 6); }

Link MeasureLink(Ranks& ranks) {
  constexpr size_t kBytes = 8 << 20;
  std::vector<char> sent(kBytes), received(kBytes);
  SecondsOfRound(ranks, sent, received, kBytes, 1);  // makes connections, touches memory
  const double small = SecondsOfRound(ranks, sent, received, 8, 200);
  const double once = SecondsOfRound(ranks, sent, received, kBytes, 1);
  const int rounds = std::clamp(static_cast<int>(1.0 / once), 1, 50);  // about a second, the same number everywhere
  const double large = SecondsOfRound(ranks, sent, received, kBytes, rounds);
  return {small, static_cast<double>(kBytes) / std::max(1e-9, large - small)};
}

double StepSeconds(const StepCost& cost, const Link& link, int machines) {
  if (machines == 1) return cost.passes + cost.optimizer;
  return SecondsOfGradients(cost, link, machines) + SecondsOfValues(cost, link, machines) +
         kMessagesOfAStep * link.latency;
}

double HiddenSeconds(const StepCost& cost, const Link& link, int machines) {
  if (machines == 1) return 0;
  const double one_by_one = PassesOf(cost, machines) + cost.optimizer / machines +
                            Transfer(link, static_cast<double>(cost.parameters), 2 * cost.step_bytes, machines) +
                            kMessagesOfAStep * link.latency;
  return one_by_one - StepSeconds(cost, link, machines);
}

double LocalStepSeconds(const StepCost& cost, const Link& link, int machines, int every) {
  if (machines == 1) return cost.passes + cost.optimizer;
  constexpr int kMessages = 2 * kLarge + kSmall;  // differences, their mean, what rank 0 decides
  const double exchange = Transfer(link, static_cast<double>(cost.parameters), 2 * cost.difference_bytes, machines) +
                          kMessages * link.latency;
  return PassesOf(cost, machines) + cost.optimizer + exchange / every;
}

}  // namespace flashlm
