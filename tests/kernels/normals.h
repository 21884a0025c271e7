// Random numbers for tests of kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"

namespace flashlm::kernels {

inline std::vector<float> Normals(int64_t n, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = rng.Normal();
  return values;
}

}  // namespace flashlm::kernels
