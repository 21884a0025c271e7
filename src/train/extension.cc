#include "train/extension.h"

#include "base/error.h"

namespace flashlm {
namespace {

double Rate(const RunConfig& config, const Position& at) {
  return ScheduleFactor(config.optim, config.ScheduleFraction(at.seconds, at.tokens, at.step));
}

RunConfig With(RunConfig config, const Extension& extension) {
  config.extensions.push_back(extension);
  return config;
}

}  // namespace

double Position::Of(const Budget& budget) const {
  return budget.kind == "time" ? seconds : static_cast<double>(budget.kind == "tokens" ? tokens : step);
}

Budget TotalBudget(const Budget& present, const BudgetChange& change) {
  if (!change.added) return change.budget;
  if (change.budget.kind != present.kind) {
    throw UsageError(
        fmt::format("the run's budget is {}: {} cannot be added to it", present.ToString(), change.budget.ToString()),
        "add as that budget counts; without the + it is a new total");
  }
  return {present.kind, present.amount + change.budget.amount};
}

Extension Extend(const RunConfig& config, const Budget& total, const Position& now,
                 const std::optional<Position>& before_decay) {
  if (now.Of(total) >= total.amount) {
    Budget done = total;
    done.amount = now.Of(total);
    throw UsageError(fmt::format("a budget of {}: the run has done {}", total.ToString(), done.ToString()),
                     "the number is the new total; with a + it is added to the present budget");
  }
  const Extension present = config.Schedule();
  Extension here = present;
  here.budget = total;
  here.from_step = now.step;
  if (present.budget.kind != total.kind) here.schedule_begin = 0;
  const bool rising =
      present.warmup && config.ScheduleFraction(now.seconds, now.tokens, now.step) < config.optim.warmup_fraction;
  here.warmup = rising;
  if (rising || Rate(With(config, here), now) <= Rate(config, now) + 1e-9) return here;
  if (before_decay) {
    Extension back = here;
    back.from_step = before_decay->step;
    return back;
  }
  return {total, now.step, now.Of(total), true};
}

std::string Describe(const RunConfig& before, const Extension& extension, const Position& now) {
  std::string line =
      fmt::format("budget: {} instead of {}; ", extension.budget.ToString(), before.CurrentBudget().ToString());
  if (extension.from_step < now.step) {
    return line + fmt::format(
                      "back to step {}, the last before the learning rate fell, which now falls at the new end "
                      "(the model of step {} is kept until then)",
                      extension.from_step, now.step);
  }
  if (extension.warmup && extension.schedule_begin > 0 && extension.schedule_begin == now.Of(extension.budget)) {
    return line + fmt::format("a new warm-up and decay of the learning rate on top of step {}", now.step);
  }
  return line + fmt::format("the learning rate follows it from step {}", now.step);
}

}  // namespace flashlm
