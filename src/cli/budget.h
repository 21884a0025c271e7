// The options that say when training ends, for the verbs that train.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "train/request.h"

namespace flashlm::cli {

// `fallback`: the budget without any of them, for --help. Steps are no fair measure between models whose steps differ
// in size, so not every verb offers them.
void AddBudget(CLI::App& verb, BudgetWords& budget, const std::string& fallback, bool with_steps);

}  // namespace flashlm::cli
