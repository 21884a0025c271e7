#include "optim/decay.h"

#include <algorithm>

namespace flashlm {

double DecaySchedule::Factor(double fraction, double lr_factor) const {
  if (kind == "follow") return lr_factor;
  if (kind != "dip") return 1;
  fraction = std::clamp(fraction, 0.0, 1.0);
  if (fraction <= hold_until) return 1;
  if (fraction < low_at) return 1 + (low - 1) * (fraction - hold_until) / (low_at - hold_until);
  return low_at < 1 ? low + (end - low) * (fraction - low_at) / (1 - low_at) : low;
}

}  // namespace flashlm
