// What the seeds of a contender come to together, and how contenders stand to each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compare/row.h"
#include "compare/verdict.h"

namespace flashlm {

struct Aggregate {
  std::string name, preset, recipe, variant;
  std::vector<uint64_t> seeds;  // that have a result
  int failed = 0;               // seeds that have none
  std::string error;            // of the first of those
  Spread bits_per_byte;         // over seeds; its error says how far another seed might fall
  // Of the seeds' standard errors over documents the mean: how far another text might fall. They read the same
  // documents (slow ones fewer), so that more seeds do not make it smaller.
  double stderr_documents = RunResult::kUnknown;
  // Means over seeds.
  double params = 0, ternary_share = 0, tokens = 0, seconds = 0, tok_per_sec = 0, peak_rss_mb = 0;
  double decode_tokens_per_s = 0;
  std::optional<Verdict> verdict;  // against the best one; of the best one, against the second; null where none is

  bool without_result() const { return seeds.empty(); }
};

// One for each name in `rows`: best mean first, those without a result last, equal ones as they came.
std::vector<Aggregate> AggregateRows(const std::vector<ComparisonRow>& rows);

// The figures have the names of a row's.
Json ToJson(const Aggregate& aggregate);

}  // namespace flashlm
