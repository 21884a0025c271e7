// Sums, copies, scalings and reductions of vectors and of the rows of matrices. Sums over rows or elements run in fixed
// blocks and in order, so that they do not depend on the number of threads.
#pragma once

#include "kernels/matrix.h"

namespace flashlm::kernels {

// y = x or y += x, all [N,C]; element types may differ.
void Copy(const Matrix& x, const Matrix& y, bool accumulate);
// y = a + b, all [N,C]; a and y are of one element type, b of any. y may be a.
void Add(const Matrix& a, const Matrix& b, const Matrix& y);
// y[r][c] = x[r][c] * row_scales[r] * column_scales[c]; either may be null. Element types may differ; y may be x.
void Scale(const Matrix& x, const float* row_scales, const float* column_scales, const Matrix& y);

// y = a x + b y, n elements; x may be y.
void Axpby(float a, const float* x, float b, float* y, int64_t n);

// Sum of the squares of n elements, in double.
double SumOfSquares(const float* x, int64_t n);

// sums[C] += the sum over the rows of x f32 [N,C]. scratch: SumRowsScratch(N, C) floats.
void SumRows(const Matrix& x, float* sums, float* scratch);
int64_t SumRowsScratch(int64_t rows, int64_t cols);

// Dot of every row with one vector: y[N] = x[N,C] . w[C]; x f32.
void RowDot(const Matrix& x, const float* w, float* y);
// dx (f32) = or += dy[n] * w; dw[C] += sum over n of dy[n] * x[n]. scratch: RowDotGradScratch(N, C) floats.
void RowDotGrad(const Matrix& x, const float* w, const float* dy, const Matrix& dx, bool accumulate, float* dw,
                float* scratch);
int64_t RowDotGradScratch(int64_t rows, int64_t cols);

// The index of the largest of z[n], the first of equals; n > 0. Of numbers that are not, any index.
int64_t Argmax(const float* z, int64_t n);
// The indices of those of z[n] that are at least `lowest`, in order. Returns how many; `indices` has room for n and
// kIndicesSlack.
constexpr int64_t kIndicesSlack = 16;
int64_t IndicesFrom(float lowest, const float* z, int64_t n, int32_t* indices);

}  // namespace flashlm::kernels
