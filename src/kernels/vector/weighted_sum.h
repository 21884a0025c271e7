// The sum of two matrices with a learned number each: residual streams that remember where they started, skips.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y = weights[0] a + weights[1] b, all [N,C]; y of a's type, b of any.
void WeightedSum(const Matrix& a, const Matrix& b, const float* weights, const Matrix& y);

struct Gradient {
  Matrix to;
  bool accumulate;  // to +=, else to =
};
// da, db of a's and b's types; dy of a's. dweights[0], [1] += dy . a, dy . b, summed in fixed blocks of rows, in order.
// scratch: WeightedSumGradScratch(N) floats.
void WeightedSumGrad(const Matrix& a, const Matrix& b, const float* weights, const Matrix& dy, const Gradient& da,
                     const Gradient& db, float* dweights, float* scratch);
int64_t WeightedSumGradScratch(int64_t rows);

}  // namespace flashlm::kernels
