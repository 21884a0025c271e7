// Sums over rows that do not depend on the number of threads: blocks of rows add up on their own, in parallel, into
// partial sums one after another; then the blocks are added in order.
#pragma once

#include <cstdint>

namespace flashlm::kernels {

inline int64_t BlockCount(int64_t rows, int64_t block) { return (rows + block - 1) / block; }

// sums[n] += the first n of each of `blocks` partial sums, which lie `stride` apart.
inline void AddBlocks(const float* partials, int64_t blocks, int64_t stride, int64_t n, float* sums) {
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t i = 0; i < n; ++i) sums[i] += partials[b * stride + i];
  }
}

}  // namespace flashlm::kernels
