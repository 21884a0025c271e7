// A thread that does what takes too long for the one that reads and writes connections.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace flashlm {

// Tasks one after the other, in the order in which they came. They must not throw.
class Worker {
 public:
  // most_bytes: of what waits, as its sender counts it.
  explicit Worker(size_t most_bytes) : most_bytes_(most_bytes), thread_([this] { Run(); }) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Does what waits still, and nothing that comes later. Not for two threads at once.
  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  // False after Stop, and if too much waits already; one task alone may have any size.
  bool Post(size_t bytes, std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      if (over_ || (bytes_ > 0 && bytes_ + bytes > most_bytes_)) return false;
      bytes_ += bytes;
      tasks_.emplace_back(bytes, std::move(task));
    }
    wake_.notify_one();
    return true;
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return over_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      auto [bytes, task] = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
      bytes_ -= bytes;
    }
  }

  size_t most_bytes_, bytes_ = 0;  // of what waits or is being done
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<size_t, std::function<void()>>> tasks_;
  bool over_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace flashlm
