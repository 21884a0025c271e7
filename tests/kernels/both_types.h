// Values held as f32 and as bf16 at once: inputs are drawn so that both hold the same numbers, and results in one type
// can be compared with those in the other.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

struct BothTypes {
  BothTypes(int64_t rows, int64_t cols, uint64_t seed = 0) : rows(rows), cols(cols) {
    f32.resize(static_cast<size_t>(rows * cols));
    bf16.resize(f32.size());
    if (seed == 0) return;
    Rng rng(seed, Purpose::kTest);
    for (size_t i = 0; i < f32.size(); ++i) {
      bf16[i] = ToBFloat16(rng.Normal());
      f32[i] = ToFloat(bf16[i]);
    }
  }
  Matrix View(DType dtype) { return View(dtype, 0, rows); }
  // Rows [first, first + count).
  Matrix View(DType dtype, int64_t first, int64_t count) {
    void* data = dtype == DType::kF32 ? static_cast<void*>(f32.data() + first * cols) : bf16.data() + first * cols;
    return {data, dtype, count, cols, cols};
  }

  int64_t rows, cols;
  std::vector<float> f32;
  std::vector<BFloat16> bf16;
};

// What `run` writes into `outputs` for either type is the same up to the rounding of the result.
template <class Run>
void ExpectTypesAgree(const Run& run, const std::vector<BothTypes*>& outputs) {
  run(DType::kF32);
  run(DType::kBF16);
  for (const BothTypes* output : outputs) {
    for (size_t i = 0; i < output->f32.size(); ++i) {
      ASSERT_NEAR(ToFloat(output->bf16[i]), output->f32[i], 5e-3 * (1 + std::abs(output->f32[i]))) << i;
    }
  }
}

}  // namespace flashlm::kernels
