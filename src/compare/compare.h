// A comparison: presets, each with its own recipe or with others, in one variant or several, trained one after the
// other on the same data with the same tokenizer and the same budget, with one seed or several; and one table of what
// came out (compare/comparison_report.h).
//
// OUT/settings.json has what is equal for all, OUT/RUN is a run with its comparison.json, and
// OUT/comparison.{json,md,html} are written anew whenever a run is done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/comparison.h"

namespace flashlm {

// What is trained is every preset with every recipe in every variant.
struct CompareOptions {
  std::vector<std::string> presets;   // names or .toml files; none: those of `out` so far, or all that ship
  std::vector<std::string> recipes;   // names or .toml files; none: each preset's own
  std::vector<std::string> variants;  // "NAME: section.key=value ..."; none: presets as they are
  std::string data, text, out;        // text: evaluated at the end; without it the data's own validation documents
  std::optional<Budget> budget;       // time or tokens
  std::vector<std::string> sets;      // as `--set`, for all
  std::optional<uint64_t> seed;       // the first one
  std::optional<int> seeds;           // how many, >= 1
  // For who makes comparisons as a part of something larger:
  std::vector<Contender> contenders;  // not empty: these, not those of presets, recipes and variants
  std::string go_on;                  // the command that an interrupted one goes on with; "": `compare`
};

struct CompareSummary {
  bool finished = false;  // false: interrupted; the same call goes on
  int failed = 0;         // runs without a result
  Comparison comparison;
  std::string markdown;  // as in comparison.md
};

// Starts a comparison or goes on with the one in `options.out`: runs that are done are kept, begun ones resumed, failed
// ones tried again. What is given must agree with OUT/settings.json; presets, recipes and variants may join, and seeds.
// Each run has a process of its own (base/child_process.h), so that its memory is its own and its failure costs one
// row. Throws UsageError or Error before any work if the options, the data or a name is not right.
CompareSummary Compare(const CompareOptions& options);

}  // namespace flashlm
