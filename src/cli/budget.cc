#include "cli/budget.h"

#include <fmt/format.h>

namespace flashlm::cli {

void AddBudget(CLI::App& verb, BudgetWords& budget, const std::string& fallback, bool with_steps) {
  verb.add_option("--time", budget.time,
                  fmt::format("budget of training time as 90s, 10m, 2h; {} without any budget", fallback));
  verb.add_option("--hours", budget.hours, "budget in hours: --hours 1.5 is --time 1h30m");
  verb.add_option("--tokens", budget.tokens, "budget in training tokens, as 10M");
  if (with_steps) verb.add_option("--steps", budget.steps, "budget in optimiser steps");
}

}  // namespace flashlm::cli
