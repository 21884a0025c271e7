// Another budget for a run that has begun or is done, and what becomes of its learning rate: a rate that has fallen is
// not raised in one jump.
#pragma once

#include <optional>
#include <string>

#include "train/config.h"

namespace flashlm {

// As the caller says it: `--steps 100` is the new total, `--steps +50` is more than the present one.
struct BudgetChange {
  Budget budget;
  bool added = false;
};

// The new total. Throws UsageError if it adds to a budget of another kind.
Budget TotalBudget(const Budget& present, const BudgetChange& change);

// How far a run has come.
struct Position {
  double seconds = 0;  // of training
  int64_t tokens = 0, step = 0;
  double Of(const Budget& budget) const;  // in its unit
};

// How `config`'s run, at `now`, goes on to `total`:
// - where the new budget's schedule asks for no higher rate than the last one, the rate follows it from here;
// - else, if there is a checkpoint from before the rate fell (only the linear schedule has one worth going back to),
// from
//   that, and the rate falls at the new end;
// - else on top of what is there, with a new warm-up and decay.
// Throws UsageError if the run has done more than `total`.
Extension Extend(const RunConfig& config, const Budget& total, const Position& now,
                 const std::optional<Position>& before_decay);

// What Extend decided, in one line.
std::string Describe(const RunConfig& before, const Extension& extension, const Position& now);

}  // namespace flashlm
