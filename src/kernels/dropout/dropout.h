// Dropout: which elements a call drops, and the two places where a model has it. What is dropped is defined one element
// at a time in ref.h.
#pragma once

#include "base/rng.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// Dropout of a call: element (r, c) of a matrix is kept with probability 1 - p and scaled by 1/(1 - p); which ones is a
// function of (key, step, r, c) alone. p = 0: everything is kept and the generator is not run.
struct Dropout {
  float p = 0;
  PhiloxKey key{};
  uint64_t step = 0;
};

// y = x + dropout(branch): x, y f32 [N,C]; branch f32 or bf16. y may alias x.
void AddDropout(const Matrix& x, const Matrix& branch, const Dropout& dropout, const Matrix& y);
// y = dropout(x); also its own gradient (dx = dropout(dy)). Element types may differ. y = or += by `accumulate`.
void ApplyDropout(const Matrix& x, const Dropout& dropout, const Matrix& y, bool accumulate);

}  // namespace flashlm::kernels
