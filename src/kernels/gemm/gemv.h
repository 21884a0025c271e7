// Products of one or a few rows with a weight matrix: what decoding does. Bound by reading the weights once.
#pragma once

#include <cstdint>

#include "kernels/gemm/buffer.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// A weight matrix as MatVec reads it: tiles of 8 outputs in which the vectors of the 8 alternate, so that a product
// walks through memory strictly forwards. (From a shared L3 that is about twice as fast as 8 rows side by side.)
class MatVecWeight {
 public:
  // Copies w (f32 [out,in], contiguous), rounded to dtype.
  void SetValues(const float* w, int64_t out, int64_t in, DType dtype);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  DType dtype() const { return dtype_; }
  const void* tiles() const { return tiles_.data(); }

 private:
  int64_t out_ = 0, in_ = 0;
  DType dtype_ = DType::kF32;
  Buffer tiles_;
};

// y[N,O] = x[N,I] W^T (+ y if accumulate), meant for N of a few; x and y f32 or bf16. Sums are f32. x keeps its
// precision, but where the CPU multiplies bf16 itself and both x and w are bf16, it does.
// Every row of x gives the same bits whatever N is and however many threads there are.
void MatVec(const Matrix& x, const MatVecWeight& w, const Matrix& y, bool accumulate);

}  // namespace flashlm::kernels
