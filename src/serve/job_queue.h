// Jobs that wait, by client: one client's many do not keep another's one from its turn.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "serve/stream_job.h"

namespace flashlm {

// For one thread.
class JobQueue {
 public:
  explicit JobQueue(size_t most) : most_(most) {}

  // All of a request's jobs, or none of them: false if there is no room.
  bool Push(std::vector<StreamJob>& jobs) {
    if (jobs.size() > most_ - size_) return false;
    for (StreamJob& job : jobs) {
      std::deque<StreamJob>& own = waiting_[job.client];
      if (own.empty()) turns_.push_back(job.client);
      own.push_back(std::move(job));
      ++size_;
    }
    return true;
  }

  // The first job of the client whose turn it is.
  std::optional<StreamJob> Pop() {
    if (turns_.empty()) return std::nullopt;
    const std::string client = std::move(turns_.front());
    turns_.pop_front();
    const auto own = waiting_.find(client);
    StreamJob job = std::move(own->second.front());
    own->second.pop_front();
    --size_;
    if (own->second.empty()) {
      waiting_.erase(own);
    } else {
      turns_.push_back(client);
    }
    return job;
  }

  // Takes out those that `over` is true for.
  template <class Over>
  std::vector<StreamJob> TakeIf(const Over& over) {
    std::vector<StreamJob> taken;
    JobQueue kept(most_);
    std::vector<StreamJob> one(1);
    while (std::optional<StreamJob> job = Pop()) {
      if (over(*job)) {
        taken.push_back(std::move(*job));
      } else {
        one[0] = std::move(*job);
        kept.Push(one);
      }
    }
    *this = std::move(kept);
    return taken;
  }

  size_t size() const { return size_; }

 private:
  size_t most_, size_ = 0;
  std::map<std::string, std::deque<StreamJob>> waiting_;
  std::list<std::string> turns_;  // clients that have something waiting, the next one first
};

}  // namespace flashlm
