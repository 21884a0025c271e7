// What attention asks of a model's width.
#pragma once

#include "base/error.h"

namespace flashlm {

// For Config::Validate: heads of d_model / n_heads columns, of which rotary positions turn pairs. Throws UsageError.
inline void CheckRotaryHeads(int d_model, int n_heads) {
  if (d_model % (2 * n_heads) == 0) return;
  throw UsageError(fmt::format("model.d_model = {}: must be a multiple of 2 n_heads = {}", d_model, 2 * n_heads),
                   "rotary positions turn pairs of a head's columns");
}

}  // namespace flashlm
