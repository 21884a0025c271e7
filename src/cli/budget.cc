#include "cli/budget.h"

#include "base/error.h"

namespace flashlm::cli {

void BudgetOptions::AddTo(CLI::App& verb, const std::string& fallback, bool with_steps) {
  verb.add_option("--time", time, fmt::format("budget as 90s, 10m, 2h; {} without any budget", fallback));
  verb.add_option("--hours", hours, "budget in hours: --hours 1.5 is --time 1h30m");
  verb.add_option("--tokens", tokens, "budget in training tokens, as 10M");
  if (with_steps) verb.add_option("--steps", steps, "budget in optimiser steps")->check(CLI::Range(1, 1 << 30));
}

std::optional<Budget> BudgetOptions::Get() const {
  const int given = !time.empty() + hours.has_value() + !tokens.empty() + (steps != 0);
  if (given > 1) throw UsageError("more than one of --time, --hours, --tokens and --steps", "a run has one budget");
  if (!time.empty()) return Budget::Time(time);
  if (hours) return Budget::Hours(*hours);
  if (!tokens.empty()) return Budget::Tokens(tokens);
  if (steps != 0) return Budget::Steps(steps);
  return std::nullopt;
}

}  // namespace flashlm::cli
