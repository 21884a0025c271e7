// Ranks that are threads of one process, for tests: messages lie in memory.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "cluster/ranks.h"

namespace flashlm {

// What Abort throws, in the rank that calls it.
struct Aborted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class MessageHub {
 public:
  using Path = std::tuple<int, int, int>;  // from, to, tag

  void Put(Path path, const void* data, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const char* begin = static_cast<const char*>(data);
    messages_[path].emplace_back(begin, begin + bytes);
  }
  bool Take(Path path, void* data) {
    const std::lock_guard lock(mutex_);
    auto& queue = messages_[path];
    if (queue.empty()) return false;
    std::copy(queue.front().begin(), queue.front().end(), static_cast<char*>(data));
    queue.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<Path, std::deque<std::vector<char>>> messages_;
};

class MemoryTransport final : public Transport {
 public:
  MemoryTransport(MessageHub& hub, int rank, int size) : hub_(hub), rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string host() const override { return "host" + std::to_string(rank_); }
  int Send(int to, int tag, const void* data, size_t bytes) override {
    hub_.Put({rank_, to, tag}, data, bytes);
    const std::lock_guard lock(mutex_);
    requests_[next_] = {true, {}, nullptr};
    return next_++;
  }
  int Receive(int from, int tag, void* data, size_t) override {
    const std::lock_guard lock(mutex_);
    requests_[next_] = {false, {from, rank_, tag}, data};
    return next_++;
  }
  bool Done(int request) override {
    const std::lock_guard lock(mutex_);
    // Messages of one path go to its receives in the order of these.
    const MessageHub::Path path = requests_[request].path;
    for (auto& [number, one] : requests_) {
      if (number > request) break;
      if (one.done || one.path != path) continue;
      one.done = hub_.Take(path, one.data);
      if (!one.done) break;
    }
    if (!requests_[request].done) return false;
    requests_.erase(request);
    return true;
  }
  void Cancel(int request) override {
    const std::lock_guard lock(mutex_);
    requests_.erase(request);
  }
  [[noreturn]] void Abort(int exit_code) override { throw Aborted("exit code " + std::to_string(exit_code)); }

 private:
  struct Request {
    bool done = false;
    MessageHub::Path path;
    void* data = nullptr;
  };
  MessageHub& hub_;
  int rank_, size_;
  std::mutex mutex_;
  std::map<int, Request> requests_;
  int next_ = 0;
};

// Calls body(ranks) in as many threads, each a rank.
inline void RunRanks(int count, const std::function<void(Ranks&)>& body) {
  MessageHub hub;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      Ranks ranks(std::make_unique<MemoryTransport>(hub, rank, count));
      body(ranks);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace flashlm
