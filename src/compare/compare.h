// A comparison: presets trained one after the other on the same data with the same tokenizer and the same budget, and
// one table of what came out (compare/comparison_report.h).
//
// OUT/settings.json has what is equal for all, OUT/PRESET is the run of each with its comparison.json, and
// OUT/comparison.{json,md,html} are written anew whenever a preset is done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/comparison.h"

namespace flashlm {

struct CompareOptions {
  std::vector<std::string> presets;  // names or .toml files; none: those of `out` so far, or all that ship
  std::string data, text, out;       // text: evaluated at the end; without it the data's own validation documents
  std::optional<Budget> budget;      // time or tokens
  std::vector<std::string> sets;     // as `--set`, for every preset
  std::optional<uint64_t> seed;
};

struct CompareSummary {
  bool finished = false;  // false: interrupted; the same call goes on
  int failed = 0;         // presets without a result
  Comparison comparison;
  std::string markdown;  // as in comparison.md
};

// Starts a comparison or goes on with the one in `options.out`: presets that are done are kept, begun ones resumed,
// failed ones tried again. What is given must agree with OUT/settings.json; new presets may join. Each preset runs in a
// process of its own (base/child_process.h), so that its memory is its own and its failure costs one row. Throws
// UsageError or Error before any work if the options, the data or a preset's name is not right.
CompareSummary Compare(const CompareOptions& options);

}  // namespace flashlm
