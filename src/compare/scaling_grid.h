// A grid of runs from which a scaling law comes: every size with every token budget and every number of tokens per
// step; and what it came to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compare/aggregate.h"
#include "compare/scaling_fit.h"
#include "train/data_place.h"

namespace flashlm {

// A finished run on the data, a point of the law beside the grid's; what it came to is kept, so that its folder may go.
struct ScalingRun {
  std::string folder, model;
  double weights = 0, tokens = 0, bits_per_byte = 0, tok_per_sec = 0;
  int64_t steps_of = 0, documents = 0;

  void VisitFields(FieldVisitor& v) {
    constexpr double kMost = 1e18;
    v.Text("run", folder, {}, "its folder");
    v.Text("preset", model, {}, "what was trained");
    v.Real("weights", weights, 1, kMost, "that a token meets in products");
    v.Real("tokens", tokens, 1, kMost, "read in all");
    v.Int64("tokens_per_step", steps_of, 1, int64_t{1} << 40, "at first");
    v.Real("bits_per_byte", bits_per_byte, 1e-9, 100, "of its last weights on the test part");
    v.Int64("documents", documents, 1, int64_t{1} << 40, "that these are of");
    v.Real("tok_per_sec", tok_per_sec, 0, kMost, "of its training");
  }
};

// OUT/grid.json.
struct ScalingGrid {
  DataPlace data;
  std::string text;                  // evaluated at the end; "": the test part of the data's validation text
  std::vector<std::string> sets;     // as `--set`, for all
  int seeds = 1;                     // each run is trained with
  std::vector<std::string> presets;  // the sizes: names, or absolute paths of .toml files
  std::vector<int64_t> tokens;       // the budgets
  std::vector<int64_t> steps_of;     // tokens per step
  std::vector<ScalingRun> runs;
};
Json ToJson(const ScalingGrid& grid);
ScalingGrid ScalingGridFromJson(const Json& json, const std::string& where);

// One size with one budget and one number of tokens per step.
struct ScalingCell {
  size_t size = 0;  // of ScalingGrid::presets
  int64_t tokens = 0, steps_of = 0;
  double weights = 0;  // that a token meets in products
  Aggregate result;    // of its seeds
  bool best = false;   // of its size and budget: a point of the law
};

struct Scaling {
  ScalingGrid grid;
  double unique = 0;               // tokens of the training data
  std::vector<ScalingCell> cells;  // by size, then budget, then tokens per step
  ScalingFit fit;                  // its residuals: of the best cells, then of the runs, in their order
  int64_t fewest_documents = 0, most_documents = 0;  // that runs were scored on
  std::string machine;                               // "a CPU, 2 threads, bf16"

  const ScalingLaw& law() const { return fit.law; }
  double Predicted(const ScalingCell& cell) const {
    return law().BitsPerByte(cell.weights, cell.result.tokens, unique);
  }
  double Predicted(const ScalingRun& run) const { return law().BitsPerByte(run.weights, run.tokens, unique); }
};
// Marks the best cells of `scaling`, fits the law to them and the runs, and its overhead to the speeds of the grid.
// Throws Error if they are too few.
void FitBest(Scaling& scaling);

// What a size comes to in a time, at the speed of its run with the largest budget.
struct ScalingPrediction {
  size_t size = 0;  // of ScalingGrid::presets
  double tokens = 0, bits_per_byte = 0;
};
// One for each size that has a result, in the grid's order.
std::vector<ScalingPrediction> PredictAfter(const Scaling& scaling, double seconds);
const ScalingPrediction& BestOf(const std::vector<ScalingPrediction>& predictions);
// Those that are reported, in seconds.
inline constexpr double kPredictedSeconds[] = {60, 180, 600, 1800, 7200};

// scaling.json.
Json ToJson(const Scaling& scaling);

}  // namespace flashlm
