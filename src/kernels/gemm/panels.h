// How products of a few rows read a weight matrix: in panels of some outputs, in which the 32-bit words of all outputs
// lie side by side. A word holds as many consecutive inputs of one output as fit: one f32, two bf16, four int8. A
// product walks through memory strictly forwards, keeps one output a lane, and never adds across lanes.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "kernels/gemm/buffer.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

// Products take two words at a time, one for each of two chains of additions; rows are continued with zeros.
inline int64_t PaddedInputs(int64_t in, DType dtype) {
  const int64_t unit = 8 / static_cast<int64_t>(SizeOf(dtype));
  return (in + unit - 1) / unit * unit;
}

class Panels {
 public:
  // Copies w ([out,in], contiguous, f32 or already of type dtype), rounded to dtype.
  void SetValues(const Matrix& w, DType dtype, int64_t panel_outputs);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  DType dtype() const { return dtype_; }
  int64_t count() const { return (out_ + panel_outputs_ - 1) / panel_outputs_; }
  const void* data() const { return data_.data(); }

 private:
  int64_t out_ = 0, in_ = 0, panel_outputs_ = 1;
  DType dtype_ = DType::kF32;
  Buffer data_;
};

// True if a product of this size gains by another thread: below, handing over costs more than it takes over.
inline bool WorthThreads(int64_t rows, int64_t weights, int64_t least_weights) {
  // From a few rows on arithmetic, not reading the weights, takes the time.
  constexpr int64_t kRowsForFree = 4;
  return weights * (rows > kRowsForFree ? rows / kRowsForFree : 1) >= least_weights;
}

// Calls body(std::integral_constant<int, count>); count in [1, kMost].
template <int kMost, class Body>
void WithConstant(int64_t count, const Body& body) {
  if (count == kMost) return body(std::integral_constant<int, kMost>());
  if constexpr (kMost > 1) WithConstant<kMost - 1>(count, body);
}

// Calls body(first row, std::integral_constant<int, count>) for all rows in blocks of nearly equal size, at most kMost:
// the block's accumulators must fit into registers.
template <int kMost, class Body>
void ForRowBlocks(int64_t rows, const Body& body) {
  const int64_t blocks = (rows + kMost - 1) / kMost;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = rows * b / blocks, end = rows * (b + 1) / blocks;
    WithConstant<kMost>(end - begin, [&](auto count) { body(begin, count); });
  }
}

}  // namespace flashlm::kernels
