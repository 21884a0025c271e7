// Activation functions, alone and as the gate of a gated unit (GLU). Each is one pass over memory; the rows of y say
// how many elements there are. x and y are of one element type, dy and dx too.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y = silu(x) = x * sigmoid(x); all [N,F].
void Silu(const Matrix& x, const Matrix& y);
// dx = or += dy * d silu(x)/dx; dx may be dy if it is not added to.
void SiluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx, bool accumulate);

// y = max(x, 0)^2; all [N,F]. dx is overwritten.
void ReluSquared(const Matrix& x, const Matrix& y);
void ReluSquaredGrad(const Matrix& x, const Matrix& dy, const Matrix& dx);

// y[N,F] = silu(x[:, :F]) * x[:, F:2F]; x [N,2F] is gate|up. dx is overwritten.
void SwiGlu(const Matrix& x, const Matrix& y);
void SwiGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx);

// GEGLU (Shazeer, 2020) with the exact GELU, gelu(x) = x (1 + erf(x / sqrt 2)) / 2:
// y[N,F] = gelu(x[:, :F]) * x[:, F:2F]; x [N,2F] is gate|up. dx is overwritten.
void GeGlu(const Matrix& x, const Matrix& y);
void GeGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx);

}  // namespace flashlm::kernels
