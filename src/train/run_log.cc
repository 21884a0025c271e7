#include "train/run_log.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"

namespace flashlm {
namespace {

int64_t StepOf(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return -1;  // cut off by a crash
  for (const char* key : {"step", "eval_step"}) {
    if (json.contains(key) && json[key].is_number_integer()) return json[key].get<int64_t>();
  }
  return -1;
}

void KeepUpTo(const std::string& path, int64_t last_step) {
  const std::string content = ReadFile(path);
  std::string kept;
  size_t begin = 0;
  while (begin < content.size()) {
    size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string line = content.substr(begin, end - begin);
    const int64_t step = StepOf(line);
    if (step >= 0 && step <= last_step) kept += line + "\n";
    begin = end + 1;
  }
  WriteFileAtomic(path, kept);
}

}  // namespace

RunLog::RunLog(const std::string& run_folder, int64_t last_step) : samples_path_(run_folder + "/samples.txt") {
  const std::string path = run_folder + "/log.jsonl";
  if (std::filesystem::exists(path)) KeepUpTo(path, last_step);
  log_ = std::fopen(path.c_str(), "a");
  if (log_ == nullptr) throw Error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

RunLog::~RunLog() { std::fclose(log_); }

void RunLog::Write(const Json& line) {
  // A full disk costs log lines, not the run: checkpoints report it where it matters.
  fmt::print(log_, "{}\n", line.dump());
  std::fflush(log_);
}

void RunLog::WriteSample(const std::string& heading, const std::string& text) {
  std::FILE* samples = std::fopen(samples_path_.c_str(), "a");
  if (samples == nullptr) return;
  fmt::print(samples, "== {}\n{}\n\n", heading, text);
  std::fclose(samples);
}

}  // namespace flashlm
