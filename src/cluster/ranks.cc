#include "cluster/ranks.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/progress.h"

namespace flashlm {
namespace {

constexpr int kBeatTag = 1, kChannelTag = 2;
constexpr auto kBetweenBeats = std::chrono::seconds(2);
constexpr double kLeastWork = 1e-3;  // seconds of CPU time between two signs of life

// Who waits looks often while something may be on its way, since MPI moves nothing by itself; later seldom, for the
// machine's other processes.
class Pause {
 public:
  void operator()() {
    constexpr int kSpins = 100;
    if (++turns_ < kSpins) return;
    const double seconds = watch_.Seconds();
    if (seconds < 0.3) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(seconds < 3 ? 50 : 1000));
    }
  }

 private:
  int turns_ = 0;
  Stopwatch watch_;
};

Json OwnFacts(const std::string& host) {
  Json facts{{"host", host}, {"threads", ThreadCount()}, {"cpus", Json::array()}};
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) facts["cpus"].push_back(i);
    }
  }
  return facts;
}

}  // namespace

Ranks::Ranks(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)), heard_(static_cast<size_t>(size())) {
  for (int peer = 0; peer < size(); ++peer) {
    beats_.push_back(peer == rank() ? -1 : transport_->Receive(peer, kBeatTag, &heard_[static_cast<size_t>(peer)], 1));
  }
  hosts_.resize(static_cast<size_t>(size()), "?");
  const std::vector<std::string> facts = Gather(OwnFacts(transport_->host()).dump());
  for (size_t i = 0; i < hosts_.size(); ++i) hosts_[i] = ParseJson(facts[i], "a rank").at("host");
  CountThreads(facts);
}

Ranks::~Ranks() {
  for (const int beat : beats_) {
    if (beat >= 0) transport_->Cancel(beat);
  }
}

void Ranks::CountThreads(const std::vector<std::string>& facts) {
  struct Host {
    int threads = 0;
    std::set<int> cpus;
  };
  std::map<std::string, Host> hosts;
  for (const std::string& text : facts) {
    const Json json = ParseJson(text, "a rank");
    Host& host = hosts[json.at("host")];
    host.threads += json.at("threads").get<int>();
    for (const Json& cpu : json.at("cpus")) host.cpus.insert(cpu.get<int>());
  }
  threads_ = 0;
  for (const auto& [name, host] : hosts) {
    threads_ += host.cpus.empty() ? host.threads : std::min(host.threads, static_cast<int>(host.cpus.size()));
  }
}

std::string Ranks::NameOf(int rank) const {
  return fmt::format("rank {} on {}", rank, hosts_[static_cast<size_t>(rank)]);
}

int Ranks::HostCount() const { return static_cast<int>(std::set<std::string>(hosts_.begin(), hosts_.end()).size()); }

std::string Ranks::Describe() const {
  std::string names;
  const std::set<std::string> hosts(hosts_.begin(), hosts_.end());
  for (const std::string& host : hosts) names += (names.empty() ? "" : ", ") + host;
  return fmt::format("{} ranks on {} host{} ({})", size(), hosts.size(), hosts.size() > 1 ? "s" : "", names);
}

void Ranks::Send(int to, const void* data, size_t bytes, int channel) {
  FLASHLM_CHECK(bytes < (size_t{1} << 31), "a message of {} bytes", bytes);
  messages_.push_back({transport_->Send(to, kChannelTag + channel, data, bytes), to, false});
  bytes_sent_ += static_cast<int64_t>(bytes);
}

void Ranks::Receive(int from, void* data, size_t bytes, int channel) {
  FLASHLM_CHECK(bytes < (size_t{1} << 31), "a message of {} bytes", bytes);
  messages_.push_back({transport_->Receive(from, kChannelTag + channel, data, bytes), from, true});
}

void Ranks::Look() {
  std::erase_if(messages_, [&](const Message& message) { return transport_->Done(message.request); });
  for (size_t peer = 0; peer < beats_.size(); ++peer) {
    int& beat = beats_[peer];
    if (beat < 0 || !transport_->Done(beat)) continue;
    alive_ = true;
    beat = transport_->Receive(static_cast<int>(peer), kBeatTag, &heard_[peer], 1);
  }
}

void Ranks::Wait() {
  Stopwatch watch;
  Pause pause;
  // Rank 0 speaks first, so that the line comes once; if it is the silent one, the next rank does.
  const double patience = patience_ + (first() ? 0 : 3 + 0.5 * rank());
  for (size_t left = messages_.size(); left > 0; pause()) {
    alive_ = false;
    Look();
    if (alive_ || messages_.size() < left) watch.Restart();
    left = messages_.size();
    if (left > 0 && watch.Seconds() > patience) GiveUpSilent();
  }
}

void Ranks::GiveUpSilent() {
  // What is missing from a rank says more than what it has not taken yet.
  const auto silent = std::find_if(messages_.begin(), messages_.end(), [](const Message& m) { return m.receives; });
  const Message& message = silent == messages_.end() ? messages_[0] : *silent;
  GiveUp(fmt::format("{} has been silent for {:.0f} s: the job ends (hint: look after that machine, then go on from "
                     "the last checkpoint with --resume, on any number of ranks)",
                     NameOf(message.peer), patience_),
         1);
}

void Ranks::GiveUp(const std::string& line, int exit_code) {
  ShowStatus("");
  fmt::print(stderr, "error: {}\n", line);
  std::fflush(stderr);
  transport_->Abort(exit_code);
  std::terminate();  // never reached
}

void Ranks::ShareParts(void* all, const std::function<Part(int)>& part_of) {
  char* const bytes = static_cast<char*>(all);
  const Part own = part_of(rank());
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    const Part part = part_of(peer);
    Receive(peer, bytes + part.begin, part.bytes);
    Send(peer, bytes + own.begin, own.bytes);
  }
  Wait();
}

void Ranks::Broadcast(void* data, size_t bytes) {
  for (int peer = 1; peer < size() && first(); ++peer) Send(peer, data, bytes);
  if (!first()) Receive(0, data, bytes);
  Wait();
}

std::string Ranks::Broadcast(const std::string& text) {
  uint64_t bytes = text.size();
  Broadcast(&bytes, sizeof(bytes));
  std::string result = text;
  result.resize(bytes);
  Broadcast(result.data(), bytes);
  return result;
}

std::vector<std::string> Ranks::Gather(const std::string& own) {
  const auto ranks = static_cast<size_t>(size());
  const uint64_t bytes = own.size();
  std::vector<uint64_t> sizes(ranks, bytes);
  std::vector<std::string> all(ranks, own);
  const auto exchange = [&](const auto& receive, const void* data, size_t length) {
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank()) continue;
      receive(peer);
      Send(peer, data, length);
    }
    Wait();
  };
  exchange([&](int peer) { Receive(peer, &sizes[static_cast<size_t>(peer)], sizeof(uint64_t)); }, &bytes,
           sizeof(bytes));
  exchange(
      [&](int peer) {
        std::string& text = all[static_cast<size_t>(peer)];
        text.resize(sizes[static_cast<size_t>(peer)]);
        Receive(peer, text.data(), text.size());
      },
      own.data(), own.size());
  return all;
}

void Ranks::Together(const std::function<void()>& work) {
  std::optional<Error> failure;
  {
    const Busy busy(this);
    try {
      work();
    } catch (const Error& e) {
      failure = e;
    }
  }
  const Json own =
      failure ? Json{{"what", failure->what()}, {"hint", failure->hint()}, {"code", failure->exit_code()}} : Json();
  const std::vector<std::string> all = Gather(own.dump());
  const std::string none = Json().dump();
  const auto failed = std::find_if(all.begin(), all.end(), [&](const std::string& text) { return text != none; });
  if (failed == all.end()) return;
  failed_together_ = true;
  const Json error = ParseJson(*failed, "a rank");
  const bool everywhere = std::all_of(all.begin(), all.end(), [&](const std::string& text) { return text == *failed; });
  const std::string who = everywhere ? "" : fmt::format("{}: ", NameOf(static_cast<int>(failed - all.begin())));
  const std::string what = who + error.at("what").get<std::string>(), hint = error.at("hint");
  if (error.at("code") == UsageError("").exit_code()) throw UsageError(what, hint);
  throw Error(what, hint);
}

Ranks::Busy::Busy(Ranks* ranks) : ranks_(ranks) {
  if (ranks_ == nullptr) return;
  pthread_getcpuclockid(pthread_self(), &clock_);
  thread_ = std::thread([this] { Beat(); });
}

Ranks::Busy::~Busy() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

double Ranks::Busy::SecondsWorked() const {
  timespec time{};
  clock_gettime(clock_, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void Ranks::Busy::Beat() {
  const char sign = 1;
  std::vector<int> sent;
  double worked = SecondsWorked();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kBetweenBeats, [&] { return over_; })) {
    const double now = SecondsWorked();
    if (now - worked < kLeastWork) continue;
    worked = now;
    for (int peer = 0; peer < ranks_->size(); ++peer) {
      if (peer != ranks_->rank()) sent.push_back(ranks_->transport_->Send(peer, kBeatTag, &sign, 1));
    }
    for (const int request : sent) {
      while (!ranks_->transport_->Done(request)) std::this_thread::yield();
    }
    sent.clear();
  }
}

void Together(Ranks* ranks, const std::function<void()>& work) {
  if (ranks == nullptr) return work();
  ranks->Together(work);
}

}  // namespace flashlm
