// Training as a person or a program asks for it, in words: from those to a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/extension.h"
#include "train/trainer.h"

namespace flashlm {

// When training ends: at most one is not empty. "90s", "10m", "2h"; "1.5"; "10M"; "500"; with a + before it, for a run
// that goes on, so much more.
struct BudgetWords {
  std::string time, hours, tokens, steps;

  // Null if none was given; UsageError if more than one was.
  std::optional<BudgetChange> Change() const;
  // The same where there is nothing to add to: UsageError for a +.
  std::optional<Budget> Total() const;
};

struct TrainRequest {
  std::string data, out;          // of a new run: a folder that `data prepare` made, the run folder to make
  std::string resume;             // instead of out: the run folder to go on with; data then says where its data is now
  std::string start;              // of a new run: the model whose values and [model] it starts with; "": from its seed
  std::string preset, recipe;     // names or .toml files; "": flagship, of which the budget chooses the size; its own
  BudgetWords budget;             // without any of them 10 minutes
  std::vector<std::string> sets;  // assignments "section.key=value"
  std::optional<uint64_t> seed;   // 1 without it
};

// Starts the run or goes on with it. Throws UsageError for a request that is wrong in itself, and what Train and Resume
// throw.
TrainSummary TrainAsRequested(const TrainRequest& request, RunHooks hooks = {});

}  // namespace flashlm
