// What attention asks of a model's width, and the norm of its queries and keys.
#pragma once

#include "base/error.h"
#include "nn/linear.h"

namespace flashlm {

// For Config::Validate: `heads` of width / heads columns, of which rotary positions turn pairs. Throws UsageError, with
// what the two are called in [model].
inline void CheckRotaryHeads(int width, int heads, const char* width_name = "d_model",
                             const char* heads_name = "n_heads") {
  if (width % (2 * heads) == 0) return;
  throw UsageError(
      fmt::format("model.{} = {}: must be a multiple of 2 {} = {}", width_name, width, heads_name, 2 * heads),
      "rotary positions turn pairs of a head's columns");
}

// Gains of a HeadNorm of queries and keys, NAME.q_norm.weight and NAME.k_norm.weight, [2,D]. Scores start as those of
// unit vectors times 1.2^2 sqrt(D), a little sharper than without gains.
inline Param AddQueryKeyNorm(ParamBank& bank, const std::string& name, int head_dim) {
  return AddVectors(bank, {name + ".q_norm.weight", name + ".k_norm.weight"}, head_dim, 1.2f);
}

}  // namespace flashlm
