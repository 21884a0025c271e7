// Continuous batching: the texts of all clients are written side by side, a token of every text at a time, or of many
// texts a few. Texts join when there is room and leave when they are finished, and none of them notices: with a seed
// each is, bit for bit, what it is alone, which is what `flashlm generate` writes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "infer/loaded_model.h"
#include "serve/job_queue.h"
#include "serve/model_streams.h"

namespace flashlm {

struct EngineLimits {
  int streams = 64;                // texts at work
  int waiting = 256;               // texts that wait for their turn
  int64_t cache_bytes = 64 << 20;  // of prompts that were read, per model
  int threads = 0;                 // that compute; 0: all
  double longest_step = 0.02;      // seconds of many texts, until whoever comes or goes is looked after
};

// For /metrics; each number only grows.
struct EngineCounts {
  std::atomic<int64_t> prompt_tokens = 0, known_tokens = 0, scored_tokens = 0, tokens = 0, texts = 0, failures = 0;
};

class Engine {
 public:
  // models: must outlive the engine. decode, score: what products read, of each.
  Engine(const std::vector<ServedModel>& models, const EngineLimits& limits);
  ~Engine() { Stop(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // False if there is no room for all of them, or the engine is ending.
  bool Submit(std::vector<StreamJob> jobs);
  // Nothing new from now on; true when all is written within so many seconds.
  bool Finish(double seconds);
  // Ends what is still being written or waits: the listeners are told so.
  void Stop();

  const EngineCounts& counts() const { return counts_; }
  int active() const { return active_.load(); }
  int waiting() const;
  int64_t cache_bytes() const { return cache_bytes_.load(); }

 private:
  void Loop();
  void Admit();
  void DropLate();
  void EndAll(StreamEnd end);

  EngineLimits limits_;
  EngineCounts counts_;
  std::vector<std::unique_ptr<ModelStreams>> models_;
  std::atomic<int> active_ = 0;
  std::atomic<int64_t> cache_bytes_ = 0;
  std::chrono::steady_clock::time_point next_look_;  // at those that wait

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // work has come, or gone, or the end
  JobQueue queue_;
  bool finishing_ = false, stopping_ = false;

  std::thread thread_;
};

}  // namespace flashlm
