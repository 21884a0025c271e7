// What a run folder (docs/formats.md) holds for people, read as it is found: of a run that is finished, under way or
// damaged, made by this version or another. What is missing is left out, what is damaged is said.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/run_log_table.h"

namespace flashlm {

struct RunSample {
  int64_t step = 0;
  std::string text;
};

struct RunRecord {
  std::string folder, name;  // as given; what it is called in a report
  std::string config_text;   // of config.toml
  Json config = Json::object(), results = Json::object(), probes = Json::object();  // empty: there is none
  RunLogFile log;
  std::vector<RunSample> samples;
  int64_t samples_left_out = 0;    // of too many
  std::vector<std::string> notes;  // what is missing or damaged, a sentence each

  bool finished() const { return !results.empty(); }
};

// Throws Error if `folder` is no run: it has neither config.toml nor log.jsonl.
RunRecord ReadRun(const std::string& folder);

// Runs of different names: those of folders that are called alike are the folders' paths.
std::vector<RunRecord> ReadRuns(const std::vector<std::string>& folders);

// A number at a path like "budget.amount"; NaN if there is none.
double NumberAt(const Json& json, std::string_view path);
// The text there; "" if there is none.
std::string TextAt(const Json& json, std::string_view path);

}  // namespace flashlm
