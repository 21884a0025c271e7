// Gated causal depthwise convolution (docs/spec/bolt.md): each channel sees its own K last values, and the result is
// gated: c_t = sum_j kernel_j w_{t-K+1+j}, y_t = sigmoid(g_t) c_t.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

struct ConvShape {
  int64_t batch = 0, length = 0, width = 0, taps = 0;  // B, T, C, K
};

// x [B*T, 2C], columns g|w; kernel [C, K], the newest position last; y [B*T, C] of x's element type. state [B, K-1, C]:
// the values before the first position, the oldest first (kernels/shift's UpdateHistory keeps it); null: zeros. The
// state is read, not changed. scratch: K * C floats.
void GatedConv(const ConvShape& shape, const Matrix& x, const float* kernel, const float* state, const Matrix& y,
               float* scratch);
// For sequences that started with zeros. dx is overwritten; dkernel += its gradient, summed in fixed blocks of rows, in
// order. scratch: GatedConvGradScratch(shape) floats.
void GatedConvGrad(const ConvShape& shape, const Matrix& x, const float* kernel, const Matrix& dy, const Matrix& dx,
                   float* dkernel, float* scratch);
int64_t GatedConvGradScratch(const ConvShape& shape);

}  // namespace flashlm::kernels
