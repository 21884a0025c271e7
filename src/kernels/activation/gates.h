// More element-wise pieces between matrix products, each one pass over memory (see activation.h). Sums over rows run in
// fixed blocks and in order.
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

// y = x + sigmoid(gate[0]) * branch: x, y f32 [N,C]; branch f32 or bf16.
void AddGated(const Matrix& x, const Matrix& branch, const float* gate, const Matrix& y);
// dbranch is overwritten; dgate[0] += its gradient. dx is dy. scratch: AddGatedGradScratch(N) floats.
void AddGatedGrad(const Matrix& branch, const float* gate, const Matrix& dy, const Matrix& dbranch, float* dgate,
                  float* scratch);
int64_t AddGatedGradScratch(int64_t rows);

// sums[C] += the sum over the rows of x f32 [N,C]. scratch: AddRowsScratch(N, C) floats.
void AddRows(const Matrix& x, float* sums, float* scratch);
int64_t AddRowsScratch(int64_t rows, int64_t cols);

}  // namespace flashlm::kernels
