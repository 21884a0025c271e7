// Products of one or a few rows of int8 integers with an int8 matrix, on CPUs with VNNI: half the memory that decoding
// reads in bf16.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm/buffer.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// Tiles of 8 outputs in which vectors of 64 inputs alternate, so that a product reads memory strictly forwards.
class Int8MatVecWeight {
 public:
  // Copies w (int8 [out,in], contiguous).
  void SetValues(const int8_t* w, int64_t out, int64_t in);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  const int8_t* tiles() const { return static_cast<const int8_t*>(tiles_.data()); }
  // [out]: the sum of each output's weights, which an unsigned offset of the inputs multiplies.
  const int32_t* sums() const { return sums_.data(); }

 private:
  int64_t out_ = 0, in_ = 0;
  Buffer tiles_;
  std::vector<int32_t> sums_;
};

// y[N,O] (f32) = q[N,I] (int8 in [-127, 127]) W^T, exactly while I * 127^2 < 2^31; beyond 2^24 rounded once.
// Call only if HasVnni().
void Int8MatVec(const Matrix& q, const Int8MatVecWeight& w, const Matrix& y);

}  // namespace flashlm::kernels
