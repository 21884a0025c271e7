// What stands behind flashlm/model.h.
#pragma once

#include <flashlm/model.h>

#include <condition_variable>
#include <mutex>

#include "infer/loaded_model.h"

namespace flashlm::api {

// A lock that is given in the order in which it was asked for. A plain mutex would go back to the thread that has just
// left it, token after token, and a second session would wait for the whole text of the first.
class Turns {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    const uint64_t mine = asked_++;
    changed_.wait(guard, [&] { return served_ == mine; });
  }
  void unlock() {
    {
      const std::lock_guard guard(mutex_);
      ++served_;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t asked_ = 0, served_ = 0;
};

// Two computations would fight over the cores: the engine's parallel loops expect all of them. Whoever computes with
// it, or changes it, holds `turns`.
struct Model::Impl {
  LoadedModel loaded;
  Turns turns;
};

}  // namespace flashlm::api
