// Softmax mixtures (docs/spec/supernova.md#p-rcsm): of two branches by two logits, and of a few learned slots by
// content.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y = x + w_0 a + w_1 b, w = softmax(logits): x, y f32 [N,C]; a, b [N,C] and logits [N,2] of one element type.
void AddMixture(const Matrix& x, const Matrix& logits, const Matrix& a, const Matrix& b, const Matrix& y);
// dlogits, da, db are overwritten; dx is dy.
void AddMixtureGrad(const Matrix& logits, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dlogits,
                    const Matrix& da, const Matrix& db);

// y = x | m, m = sum_s w_s slot_s, w = softmax_s(query . slot_s / sqrt(C)): x f32 [N,C]; query [N,C] and y [N,2C] of
// one element type; slots f32 [S,C]. weights: [N,S], every w, for the gradient.
void SlotRead(const Matrix& x, const Matrix& query, const float* slots, int64_t count, const Matrix& y, float* weights);
// dx (f32) = or += by `accumulate`; dquery is overwritten; dslots += its gradient, summed in fixed blocks of rows, in
// order. scratch: SlotReadGradScratch(N, C, S) floats.
void SlotReadGrad(const Matrix& query, const float* slots, int64_t count, const float* weights, const Matrix& dy,
                  const Matrix& dx, bool accumulate, const Matrix& dquery, float* dslots, float* scratch);
int64_t SlotReadGradScratch(int64_t rows, int64_t cols, int64_t count);

}  // namespace flashlm::kernels
