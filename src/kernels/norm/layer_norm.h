// Layer norm (Ba et al. 2016) and its form per group of channels at one position ("group norm" without time,
// docs/spec/defects.md#d2): y = (x - mean) / sqrt(variance + eps) * gain + bias, moments over each group of C / groups
// columns.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// x, y: f32 or bf16 [N,C]; gain, bias: [C]; groups divides C. moments: [N, groups, 2], mean and 1 /
// deviation, kept for the gradient (may be null).
void LayerNorm(const Matrix& x, const float* gain, const float* bias, int groups, float eps, const Matrix& y,
               float* moments);

// dx (x's type) = (accumulate ? dx : 0) + dL/dx; dgain, dbias += dL/dgain, dL/dbias. dy has y's element type.
// scratch: LayerNormGradScratch(N, C) floats. Sums over rows run in fixed blocks, in order.
void LayerNormGrad(const Matrix& x, const float* gain, int groups, const float* moments, const Matrix& dy,
                   const Matrix& dx, bool accumulate, float* dgain, float* dbias, float* scratch);
int64_t LayerNormGradScratch(int64_t rows, int64_t cols);

}  // namespace flashlm::kernels
