// RMS norm of every head's vector (QK-norm: Henry et al., 2020), with a gain per part: P parts of H heads of D
// columns each, a part being the queries or the keys.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// x, y: [N, P*H*D], one element type; gains: [P,D]. inv_rms: [N, P*H], kept for the gradient (may be null).
void HeadNorm(const Matrix& x, const float* gains, int64_t parts, int64_t dim, float eps, const Matrix& y,
              float* inv_rms);

// dx is overwritten; dgains[P,D] += dL/dgains. scratch: HeadNormGradScratch floats. Sums over rows run in fixed
// blocks, in order.
void HeadNormGrad(const Matrix& x, const float* gains, int64_t parts, int64_t dim, const float* inv_rms,
                  const Matrix& dy, const Matrix& dx, float* dgains, float* scratch);
int64_t HeadNormGradScratch(int64_t rows, int64_t parts, int64_t dim);

}  // namespace flashlm::kernels
