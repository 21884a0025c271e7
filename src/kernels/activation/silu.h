// SiLU without a second factor: y = x * sigmoid(x).
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// x, y: [N,F] of one element type.
void Silu(const Matrix& x, const Matrix& y);
// dx = or += dy * d silu(x)/dx; dx may be dy if it is not added to.
void SiluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx, bool accumulate);

}  // namespace flashlm::kernels
