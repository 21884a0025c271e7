// What a run measures when it starts: on a busy machine it is not always the same, and runs that are compared bit for
// bit must agree.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/run_machine.h"

namespace flashlm {

// Adds, as --set, what was measured once for all runs of a test program; what `more` says of it counts.
inline void AddMachineChoices(const std::vector<std::string>& more, std::vector<std::string>& arguments) {
  static const TrainConfig kMeasured = [] {
    TrainConfig train;
    ResolvePrecision(train);
    return train;
  }();
  const auto said = [&](const std::string& start) {
    return std::any_of(more.begin(), more.end(), [&](const std::string& word) { return word.starts_with(start); });
  };
  if (said("train.precision=") || said("train.products=f32") || said("train.products=bf16")) return;
  arguments.insert(arguments.end(), {"--set", "train.precision=" + kMeasured.precision});
  if (!said("train.products=")) arguments.insert(arguments.end(), {"--set", "train.products=" + kMeasured.products});
  if (said("train.update_products=")) return;
  arguments.insert(arguments.end(), {"--set", "train.update_products=" + kMeasured.update_products});
}

}  // namespace flashlm
