// The matrix-product rate this machine reaches, against which everything else is measured.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

struct GemmPeak {
  double gflops;  // median of the repetitions, at the best of a few shapes of our models
  int64_t m, k, n;
};

// Takes about 0.3 seconds. Uses all threads. dtype: what this machine multiplies of f32, bf16 (MultipliesBf16) and int8
// (HasVnni).
GemmPeak MeasureGemmPeak(DType dtype);

// Rate of one shape: y[m,n] = x[m,k] W^T with packed W. Median of `repetitions` runs of about 5 ms.
double MeasureGemm(int64_t m, int64_t k, int64_t n, DType dtype, int repetitions);

}  // namespace flashlm::kernels
