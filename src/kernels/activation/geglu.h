// GEGLU (Shazeer, 2020) with the exact GELU, gelu(x) = x (1 + erf(x / sqrt 2)) / 2.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y[N,F] = gelu(x[:, :F]) * x[:, F:2F]; x [N,2F] is gate|up; x, y of one element type.
void GeGlu(const Matrix& x, const Matrix& y);
void GeGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx);  // dx overwritten

}  // namespace flashlm::kernels
