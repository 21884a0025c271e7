// A model with values that are not finite is none: on every way in and out it is refused by name, as it is where packed
// files are written (RefuseInfinite of io/bank_files.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "io/bank_files.h"

namespace flashlm {

inline bool AllFinite(const float* values, int64_t size) {
  return std::all_of(values, values + size, [](float v) { return std::isfinite(v); });
}

}  // namespace flashlm
