// Products of a few rows of int8 integers with a ternary matrix kept at 2 bits a weight, an eighth of the memory that
// decoding reads in bf16: for CPUs without VNNI, where int8 products would not be faster.
#pragma once

#include <cstdint>

#include "kernels/gemm/buffer.h"
#include "kernels/matrix.h"
#include "kernels/matrix_rows.h"

namespace flashlm::kernels {

// Codes 0, 1, 2 for -1, 0, +1. A vector of packed bytes holds four vectors' worth of weights of one output, bits 2k and
// 2k + 1 of its bytes the k-th; the vectors of 4 outputs alternate, so that a product reads memory strictly forwards.
class TernaryMatVecWeight {
 public:
  // Copies the matrix [out,in].
  void SetRows(const TritRows& rows, int64_t out, int64_t in);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  const uint8_t* tiles() const { return static_cast<const uint8_t*>(tiles_.data()); }

 private:
  int64_t out_ = 0, in_ = 0;
  Buffer tiles_;
};

// y[N,O] (f32) = q[N,I] (int8) W^T, exactly.
void TernaryMatVec(const Matrix& q, const TernaryMatVecWeight& w, const Matrix& y);

}  // namespace flashlm::kernels
