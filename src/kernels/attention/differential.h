// What differential attention (Ye et al., 2024; docs/spec/nova.md) does with its two softmaxes: of every head
//   z = first - lambda * second,  y = z / rms(z).
// The norm per head takes out how much the subtraction leaves, which depends on lambda and the place.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// x: [N, 2*H*D], the first softmax's heads, then the second's; y: [N, H*D], same element type. inv_rms: [N,H], kept
// for the gradient (may be null).
void Differential(const Matrix& x, float lambda, int64_t dim, const Matrix& y, float* inv_rms);

// dx is overwritten; returns dL/dlambda, summed in a fixed order. y: the result. scratch:
// DifferentialGradScratch(N) floats.
float DifferentialGrad(const Matrix& x, float lambda, int64_t dim, const Matrix& y, const float* inv_rms,
                       const Matrix& dy, const Matrix& dx, float* scratch);
int64_t DifferentialGradScratch(int64_t rows);

}  // namespace flashlm::kernels
