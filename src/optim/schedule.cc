#include "optim/schedule.h"

#include <algorithm>

#include "optim/config.h"

namespace flashlm {

double ScheduleFactor(const OptimConfig& config, double fraction) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  // Not quite from zero: the first update of a budget that is measured in time would be lost.
  if (fraction < config.warmup_fraction) return std::max(0.01, fraction / config.warmup_fraction);
  const double height = config.schedules.Get(config.schedule).Height(fraction, config.warmup_fraction);
  return config.final_lr_fraction + (1.0 - config.final_lr_fraction) * height;
}

}  // namespace flashlm
