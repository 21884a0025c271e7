// More element-wise pieces between matrix products, each one pass over memory (see activation.h).
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y = max(x, 0)^2; all [N,C], one element type. dx is overwritten.
void ReluSquared(const Matrix& x, const Matrix& y);
void ReluSquaredGrad(const Matrix& x, const Matrix& dy, const Matrix& dx);

// y = sigmoid(gate) * x, all [N,C]; gate, dgate of one element type, x, y, dy, dx of one. dgate is overwritten; dx = or
// += by `accumulate`.
void SigmoidGate(const Matrix& gate, const Matrix& x, const Matrix& y);
void SigmoidGateGrad(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx,
                     bool accumulate);

}  // namespace flashlm::kernels
