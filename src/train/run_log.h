// What a run writes for people and scripts beside its checkpoints: log.jsonl, samples.txt.
#pragma once

#include <cstdio>
#include <string>

#include "base/json.h"

namespace flashlm {

// log.jsonl: one object per step ("step") and per evaluation ("eval_step"), appended and flushed line by line.
class RunLog {
 public:
  // Keeps the lines and samples up to `last_step` of a run that is resumed and drops what came after its checkpoint.
  RunLog(const std::string& run_folder, int64_t last_step);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void Write(const Json& line);
  void WriteSample(int64_t step, const std::string& text);

 private:
  std::string samples_path_;
  std::FILE* log_ = nullptr;
};

}  // namespace flashlm
