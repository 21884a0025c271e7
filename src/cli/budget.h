// The options that say when training ends, for the verbs that train.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "train/config.h"

namespace flashlm::cli {

struct BudgetOptions {
  std::string time, tokens;
  std::optional<double> hours;
  int64_t steps = 0;

  // `fallback`: the budget without any of them, for --help. Steps are no fair measure between models whose steps differ
  // in size, so not every verb offers them.
  void AddTo(CLI::App& verb, const std::string& fallback, bool with_steps);
  // Null if none was given; UsageError if more than one was.
  std::optional<Budget> Get() const;
};

}  // namespace flashlm::cli
