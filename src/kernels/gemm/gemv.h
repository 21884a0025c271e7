// Products of one or a few rows with a weight matrix: what decoding does. Bound by reading the weights once.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y[N,O] = x[N,I] . w[O,I]^T (+ y if accumulate), N small (1 to 16); x and y f32 or bf16, w f32 or bf16 (row-major,
// stride = I, rows 64-byte aligned when I is a multiple of 32). Every row of x gives the same bits whatever N is.
void MatVec(const Matrix& x, const Matrix& w, const Matrix& y, bool accumulate);

}  // namespace flashlm::kernels
