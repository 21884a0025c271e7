// What a comparison holds: its settings, and a row for each preset. Written as comparison.json, read by the reports.
#pragma once

#include <string>
#include <vector>

#include "train/config.h"
#include "train/run_result.h"

namespace flashlm {

// What is equal for all rows (settings.json).
struct CompareSettings {
  std::string data, data_fingerprint;  // as in RunConfig
  std::string text, text_sha256;       // evaluated at the end; "": the test part of the data's validation text
  Budget budget;
  uint64_t seed = 1;
  std::vector<std::string> sets;
  std::string train_precision, decode_precision;  // of matrix products, measured once, so that all presets get the same
  std::vector<std::string> presets;               // names or paths of .toml files
};
Json ToJson(const CompareSettings& settings);
// Throws Error for settings of another version: its figures do not compare with this one's.
CompareSettings CompareSettingsFromJson(const Json& json, const std::string& where);

// Means over a stretch of steps.
struct CurvePoint {
  double tokens = 0, seconds = 0;
  double bits_per_byte = 0;  // of the training text; NaN: was not finite
};

// All figures are of one model, the run's `best`, which is what `eval` and `generate` use: `result`'s val_* and
// measured_step, sample and decoding speed.
struct ComparisonRow {
  std::string preset;
  std::string error;  // not empty: the preset failed, and nothing else is known
  RunResult result;
  double ternary_share = 0;
  double decode_tokens_per_s = RunResult::kUnknown;
  std::string prompt, sample;
  std::vector<CurvePoint> curve;

  bool failed() const { return !error.empty(); }
  // All but `error`, `result` and `curve`.
  void VisitFields(FieldVisitor& v);
};
Json ToJson(const ComparisonRow& row);
ComparisonRow ComparisonRowFromJson(const Json& json, const std::string& where);

struct Comparison {
  CompareSettings settings;
  std::vector<ComparisonRow> rows;  // best first, failures last
};
Json ToJson(const Comparison& comparison);

}  // namespace flashlm
