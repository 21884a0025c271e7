// What a run writes for people and scripts beside its checkpoints: log.jsonl, samples.txt, event files if asked for.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/json.h"
#include "train/event_file.h"

namespace flashlm {

// log.jsonl: one object per step ("step") and per evaluation ("eval_step"), appended and flushed line by line.
class RunLog {
 public:
  // Keeps the lines and samples up to `last_step` of a run that is resumed and drops what came after its checkpoint.
  RunLog(const std::string& run_folder, int64_t last_step, bool tensorboard = false);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void Write(const Json& line);
  void WriteSample(int64_t step, const std::string& text);

 private:
  std::string samples_path_;
  std::FILE* log_ = nullptr;
  std::unique_ptr<EventFile> events_;  // null: not asked for
};

}  // namespace flashlm
