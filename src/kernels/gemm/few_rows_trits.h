// Products of a few rows of int8 integers with a ternary matrix kept at 2 bits a weight, on CPUs with VNNI: a quarter
// of the memory that decoding reads in int8, an eighth of bf16. Unpacking is some shifts beside the products, which
// wait for memory anyway.
#pragma once

#include <cstdint>

#include "kernels/gemm/buffer.h"
#include "kernels/matrix.h"
#include "kernels/matrix_rows.h"

namespace flashlm::kernels {

// Panels of 16 outputs. A 64-byte vector holds 16 inputs of each: bits 2k and 2k + 1 of byte b of an output's 32 bits
// are the code of input 4k + b, 0, 1, 2 for -1, 0, +1.
class TritPanels {
 public:
  static constexpr int64_t kOutputs = 16, kInputs = 16;  // of a vector

  // Copies the matrix [out,in].
  void SetRows(const TritRows& rows, int64_t out, int64_t in);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  int64_t padded_in() const { return (in_ + kInputs - 1) / kInputs * kInputs; }
  int64_t count() const { return (out_ + kOutputs - 1) / kOutputs; }
  const uint8_t* data() const { return static_cast<const uint8_t*>(data_.data()); }

 private:
  int64_t out_ = 0, in_ = 0;
  Buffer data_;
};

// y[N,O] (f32) = q[N,I] (int8 in [-127, 127]) W^T, exactly while I * 127 < 2^24. Call only if HasVnni().
void FewRowsTritProduct(const Matrix& q, const TritPanels& w, const Matrix& y);

}  // namespace flashlm::kernels
