#include <algorithm>
#include <cmath>
#include <numbers>

#include "optim/config.h"

namespace flashlm {

double ScheduleFactor(const OptimConfig& config, double fraction) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  // Not quite from zero: the first update of a budget that is measured in time would be lost.
  if (fraction < config.warmup_fraction) return std::max(0.01, fraction / config.warmup_fraction);
  if (config.schedule == "cosine") {
    const double p = (fraction - config.warmup_fraction) / std::max(1e-12, 1.0 - config.warmup_fraction);
    return config.final_lr_fraction + 0.5 * (1.0 - config.final_lr_fraction) * (1.0 + std::cos(std::numbers::pi * p));
  }
  if (config.schedule == "linear" && fraction > 1.0 - config.decay_fraction) {
    const double left = (1.0 - fraction) / config.decay_fraction;
    return config.final_lr_fraction + (1.0 - config.final_lr_fraction) * left;
  }
  return 1.0;
}

}  // namespace flashlm
