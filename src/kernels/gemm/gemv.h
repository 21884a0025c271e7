// Products of one or a few rows with a weight matrix: what decoding does. Bound by reading the weights once.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y[N,O] = x[N,I] . w[O,I]^T (+ y if accumulate), N small (1 to 16); x and y f32 or bf16, w f32 or bf16
// (row-major; fastest with rows 64-byte aligned). Sums are f32; bf16 operands are widened, x is not rounded.
// Every row of x gives the same bits whatever N is and however many threads there are.
void MatVec(const Matrix& x, const Matrix& w, const Matrix& y, bool accumulate);

// The outputs [begin, end) of the same product on the calling thread alone: for a caller that has opened a
// parallel region around several products. y is the whole matrix.
void MatVecPart(const Matrix& x, const Matrix& w, const Matrix& y, bool accumulate, int64_t begin,
                int64_t end);

}  // namespace flashlm::kernels
