// Sigmoid gates: between two matrices, on one, and on the branch of a residual connection. Each is one pass over
// memory; sums over rows run in fixed blocks and in order.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y = sigmoid(gate) * a + (1 - sigmoid(gate)) * b; all [N,C], one element type.
void GateMix(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& y);
// dgate, da, db are overwritten.
void GateMixGrad(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dgate,
                 const Matrix& da, const Matrix& db);

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

}  // namespace flashlm::kernels
