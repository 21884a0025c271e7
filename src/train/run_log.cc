#include "train/run_log.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

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

// samples.txt alike: "== step N", the text, an empty line. What a crash cut off has no empty line.
void KeepSamplesUpTo(const std::string& path, int64_t last_step) {
  constexpr std::string_view kHeading = "== step ";
  const std::string content = ReadFile(path);
  std::string kept;
  size_t begin = 0;
  while (begin < content.size()) {
    // A sample reaches to the next heading: its text may hold empty lines.
    const size_t next = content.find(fmt::format("\n\n{}", kHeading), begin);
    const size_t end = next == std::string::npos ? content.size() : next + 2;
    const std::string sample = content.substr(begin, end - begin);
    const bool whole = sample.starts_with(kHeading) && sample.ends_with("\n\n");
    if (whole && std::strtoll(sample.c_str() + kHeading.size(), nullptr, 10) <= last_step) kept += sample;
    begin = end;
  }
  WriteFileAtomic(path, kept);
}

}  // namespace

RunLog::RunLog(const std::string& run_folder, int64_t last_step, bool tensorboard)
    : samples_path_(run_folder + "/samples.txt") {
  const std::string path = run_folder + "/log.jsonl";
  if (std::filesystem::exists(path)) KeepUpTo(path, last_step);
  if (std::filesystem::exists(samples_path_)) KeepSamplesUpTo(samples_path_, last_step);
  if (tensorboard) events_ = std::make_unique<EventFile>(run_folder, last_step);
  log_ = std::fopen(path.c_str(), "a");
  if (log_ == nullptr) throw Error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

RunLog::~RunLog() { std::fclose(log_); }

void RunLog::Write(const Json& line) {
  // A full disk costs log lines, not the run: checkpoints report it where it matters.
  fmt::print(log_, "{}\n", line.dump());
  std::fflush(log_);
  if (events_) events_->Write(line);
}

void RunLog::WriteSample(int64_t step, const std::string& text) {
  std::FILE* samples = std::fopen(samples_path_.c_str(), "a");
  if (samples == nullptr) return;
  fmt::print(samples, "== step {}\n{}\n\n", step, text);
  std::fclose(samples);
}

}  // namespace flashlm
