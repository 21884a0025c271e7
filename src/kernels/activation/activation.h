// Element-wise pieces between matrix products, each one pass over memory.
#pragma once

#include "base/rng.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// Dropout of a call: element (r, c) of a matrix is kept with probability 1 - p and scaled by 1/(1 - p); which
// ones is a function of (key, step, r, c) alone. p = 0: everything is kept and the generator is not run.
struct Dropout {
  float p = 0;
  PhiloxKey key{};
  uint64_t step = 0;
};

// y[N,F] = silu(x[:, :F]) * x[:, F:2F]; x [N,2F] is gate|up; x, y of one element type.
void SwiGlu(const Matrix& x, const Matrix& y);
void SwiGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx);  // dx overwritten

// y = sigmoid(gate) * a + (1 - sigmoid(gate)) * b; all [N,C], one element type.
void GateMix(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& y);
// dgate, da, db are overwritten.
void GateMixGrad(const Matrix& gate, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dgate,
                 const Matrix& da, const Matrix& db);

// y = x + dropout(branch): x, y f32 [N,C]; branch f32 or bf16. y may alias x.
void AddDropout(const Matrix& x, const Matrix& branch, const Dropout& dropout, const Matrix& y);
// y = dropout(x); also its own gradient (dx = dropout(dy)). Element types may differ. y = or += by
// `accumulate`.
void ApplyDropout(const Matrix& x, const Dropout& dropout, const Matrix& y, bool accumulate);

// y = x or y += x, element types may differ.
void CopyMatrix(const Matrix& x, const Matrix& y, bool accumulate);

// Dot of every row with one vector: y[N] = x[N,C] . w[C]; x f32.
void RowDot(const Matrix& x, const float* w, float* y);
// dx (f32) = or += dy[n] * w; dw[C] += sum over n of dy[n] * x[n] (rows in fixed blocks, in order).
// scratch: RowDotGradScratch(N, C) floats.
void RowDotGrad(const Matrix& x, const float* w, const float* dy, const Matrix& dx, bool accumulate, float* dw,
                float* scratch);
int64_t RowDotGradScratch(int64_t rows, int64_t cols);

}  // namespace flashlm::kernels
