// The scaling law of a family, fitted to runs on the user's own data.
//
// OUT/grid.json has the grid, OUT/tokens-N is a comparison (compare/compare.h) of every size in every number of tokens
// per step with that budget, and OUT/scaling.{json,md,svg} and OUT/family.toml are written when all of it is done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/scaling_grid.h"

namespace flashlm {

struct ScalingOptions {
  std::vector<std::string> presets;  // names or .toml files, families being their sizes; none: flagship's
  std::vector<int64_t> tokens;       // budgets; none: 500k, 2M, 6M
  std::vector<int64_t> steps_of;     // tokens per step; none: 1024, 2048, 4096
  std::vector<std::string> runs;     // folders of other finished runs on the data whose results join the fit
  std::string data, text, out;       // as in CompareOptions
  std::vector<std::string> sets;     // as `--set`, for all
  std::optional<int> seeds;          // how many, >= 1
};

struct ScalingSummary {
  bool finished = false;  // false: interrupted; the same call goes on
  int failed = 0;         // runs without a result
  Scaling scaling;
  std::string markdown;  // as in scaling.md
};

// Runs the grid, or goes on with the one in `options.out`, which presets, budgets, steps, runs and seeds may join; then
// fits the law. Throws UsageError or Error before any work if the options, the data or a name is not right, or if the
// grid is too small for a law; and Error if too many runs have failed.
ScalingSummary Scale(const ScalingOptions& options);

}  // namespace flashlm
