#include "cli/budget.h"

#include "base/error.h"

namespace flashlm::cli {

void BudgetOptions::AddTo(CLI::App& verb, const std::string& fallback, bool with_steps) {
  verb.add_option("--time", time,
                  fmt::format("budget of training time as 90s, 10m, 2h; {} without any budget", fallback));
  verb.add_option("--hours", hours, "budget in hours: --hours 1.5 is --time 1h30m");
  verb.add_option("--tokens", tokens, "budget in training tokens, as 10M");
  if (with_steps) verb.add_option("--steps", steps, "budget in optimiser steps");
}

std::optional<BudgetChange> BudgetOptions::GetChange() const {
  const int given = !time.empty() + !hours.empty() + !tokens.empty() + !steps.empty();
  if (given > 1) throw UsageError("more than one of --time, --hours, --tokens and --steps", "a run has one budget");
  const auto change = [](const std::string& text, Budget (*parse)(const std::string&)) {
    const bool added = text.starts_with('+');
    return BudgetChange{parse(added ? text.substr(1) : text), added};
  };
  if (!time.empty()) return change(time, Budget::Time);
  if (!hours.empty()) return change(hours, Budget::Hours);
  if (!tokens.empty()) return change(tokens, Budget::Tokens);
  if (!steps.empty()) return change(steps, Budget::Steps);
  return std::nullopt;
}

std::optional<Budget> BudgetOptions::Get() const {
  const std::optional<BudgetChange> change = GetChange();
  if (!change) return std::nullopt;
  if (change->added) throw UsageError("a budget with a + is for a run that goes on", "leave out the +");
  return change->budget;
}

}  // namespace flashlm::cli
