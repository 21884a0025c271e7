// Root-mean-square norm (Zhang & Sennrich 2019): y = x / sqrt(mean(x^2) + eps) * gain.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// x: f32 [N,C]; gain: [C]; y: f32 or bf16 [N,C]; inv_rms: [N], kept for the gradient (may be null).
void RmsNorm(const Matrix& x, const float* gain, float eps, const Matrix& y, float* inv_rms);

// dx = (accumulate ? dx : 0) + dL/dx (f32); dgain += dL/dgain. dy has y's element type.
// scratch: RmsNormGradScratch(N, C) floats. Sums over rows run in fixed blocks, in order: no dependence on threads.
void RmsNormGrad(const Matrix& x, const float* gain, const float* inv_rms, const Matrix& dy, const Matrix& dx,
                 bool accumulate, float* dgain, float* scratch);
int64_t RmsNormGradScratch(int64_t rows, int64_t cols);

}  // namespace flashlm::kernels
