// Routing rows to one of several experts, and what moves rows there and back.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

// probabilities[N,K] = softmax of each row of logits [N,K] (f32 or bf16); choice[N]: the largest logit's column, the
// first of equals.
void Route(const Matrix& logits, float* probabilities, int32_t* choice);
// dlogits[n] = gradient[n] * d probabilities[n][choice[n]] / dlogits[n]; overwritten.
void RouteGrad(const float* probabilities, const int32_t* choice, const float* gradient, const Matrix& dlogits);

// y[index[n]] = x[n], one element type; different n go to different rows.
void MoveRows(const Matrix& x, const int32_t* index, const Matrix& y);
// y[n] = or += x[index[n]], one element type.
void FetchRows(const Matrix& x, const int32_t* index, const Matrix& y, bool accumulate);

// y[n] = (base[n] or 0) + scale[n] * x[index[n]]; base may be null and has y's element type, x any; index null: n.
void ScaleRows(const Matrix& x, const int32_t* index, const float* scale, const Matrix* base, const Matrix& y);
// dx[index[n]] = scale[n] * dy[n] (overwritten; rows that no n moves are left alone); dscale[n] = <dy[n], x[index[n]]>.
// dx has x's element type.
void ScaleRowsGrad(const Matrix& x, const int32_t* index, const float* scale, const Matrix& dy, const Matrix& dx,
                   float* dscale);

}  // namespace flashlm::kernels
