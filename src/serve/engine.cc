#include "serve/engine.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"

namespace flashlm {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks(50);  // at the jobs that wait, of which there may be hundreds

}  // namespace

Engine::Engine(const std::vector<ServedModel>& models, const EngineLimits& limits)
    : limits_(limits), queue_(static_cast<size_t>(limits.waiting)) {
  for (const ServedModel& model : models) {
    models_.push_back(std::make_unique<ModelStreams>(model, limits.cache_bytes, limits.longest_step, counts_));
  }
  thread_ = std::thread([this] { Loop(); });
}

void Engine::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = finishing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Engine::Submit(std::vector<StreamJob> jobs) {
  {
    const std::lock_guard lock(mutex_);
    if (finishing_ || !queue_.Push(jobs)) return false;
  }
  changed_.notify_all();
  return true;
}

bool Engine::Finish(double seconds) {
  std::unique_lock lock(mutex_);
  finishing_ = true;
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [&] { return queue_.size() == 0 && active_ == 0; });
}

int Engine::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(queue_.size());
}

void Engine::Loop() {
  if (limits_.threads > 0) SetThreadCount(limits_.threads);  // of this thread's regions
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || active_ > 0 || queue_.size() > 0; });
      if (stopping_) break;
    }
    Admit();
    DropLate();
    const auto busy =
        std::count_if(models_.begin(), models_.end(), [](const auto& model) { return model->size() > 0; });
    for (const auto& model : models_) {
      if (model->size() == 0) continue;
      try {
        model->Step(/*alone=*/busy == 1);
      } catch (const std::exception& e) {
        Say(fmt::format("serving failed, the texts at work are given up: {}", e.what()));
        model->EndAll(StreamEnd::kFailed);
      }
    }
    int active = 0;
    int64_t cached = 0;
    for (const auto& model : models_) {
      active += model->size();
      cached += model->cache_bytes();
    }
    cache_bytes_ = cached;
    {
      const std::lock_guard lock(mutex_);
      active_ = active;
    }
    changed_.notify_all();
  }
  EndAll(StreamEnd::kShutdown);
}

void Engine::Admit() {
  int active = 0;
  for (const auto& model : models_) active += model->size();
  const std::lock_guard lock(mutex_);
  while (active < limits_.streams) {
    std::optional<StreamJob> job = queue_.Pop();
    if (!job) break;
    const size_t model = job->model;
    models_[model]->Add(std::move(*job));
    ++active;
  }
  active_ = active;
}

// Texts that nobody wants any more, or whose time is over; they are looked for among those that wait, too.
void Engine::DropLate() {
  const auto now = std::chrono::steady_clock::now();
  const auto end_of = [&](const StreamJob& job) -> std::optional<StreamEnd> {
    if (!job.listener->wanted()) return StreamEnd::kGone;
    if (now > job.deadline) return StreamEnd::kTime;
    return std::nullopt;
  };
  for (const auto& model : models_) model->EndIf(end_of);
  if (now < next_look_) return;
  next_look_ = now + kBetweenLooks;
  std::vector<StreamJob> late;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() > 0) late = queue_.TakeIf([&](const StreamJob& job) { return end_of(job).has_value(); });
  }
  for (const StreamJob& job : late) job.listener->OnEnd(*end_of(job));
}

void Engine::EndAll(StreamEnd end) {
  for (const auto& model : models_) model->EndAll(end);
  std::vector<StreamJob> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = queue_.TakeIf([](const StreamJob&) { return true; });
  }
  for (const StreamJob& job : waiting) job.listener->OnEnd(end);
}

}  // namespace flashlm
