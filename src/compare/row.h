// The row of a run in a comparison: OUT/RUN/comparison.json.
#pragma once

#include <string>
#include <vector>

#include "train/run_result.h"

namespace flashlm {

// Means over a stretch of steps.
struct CurvePoint {
  double tokens = 0, seconds = 0;
  double bits_per_byte = 0;  // of the training text; NaN: was not finite
};

// All figures are of one model, the run's `best`, which is what `eval` and `generate` use: `result`'s val_* and
// measured_step, sample and decoding speed.
struct ComparisonRow {
  std::string name;             // of its contender: what the seeds of one contender have in common
  std::string preset, variant;  // names
  std::string recipe;           // name of what it was trained with; "": the preset has none
  std::string error;            // not empty: the run failed, and beside result.seed nothing else is known
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

}  // namespace flashlm
