// A gate per attention head: one number opens all columns of a head.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y[n, h*D + i] = 2 sigmoid(gate[n,h]) x[n, h*D + i]: gate [N,H], x and y [N, H*D], one element type. Twice, so that a
// gate of zero leaves x as it is.
void HeadGate(const Matrix& gate, const Matrix& x, const Matrix& y);
// dgate and dx are overwritten.
void HeadGateGrad(const Matrix& gate, const Matrix& x, const Matrix& dy, const Matrix& dgate, const Matrix& dx);

}  // namespace flashlm::kernels
