// The options that say when training ends, for the verbs that train.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "train/extension.h"

namespace flashlm::cli {

struct BudgetOptions {
  std::string time, hours, tokens, steps;

  // `fallback`: the budget without any of them, for --help. Steps are no fair measure between models whose steps differ
  // in size, so not every verb offers them.
  void AddTo(CLI::App& verb, const std::string& fallback, bool with_steps);
  // Null if none was given; UsageError if more than one was, or one of a + where there is nothing to add to.
  std::optional<Budget> Get() const;
  // The same for a run that goes on: +50 is 50 more.
  std::optional<BudgetChange> GetChange() const;
};

}  // namespace flashlm::cli
