// A tensor is a trivially copyable view: rows x cols in some arena or parameter bank. Rows are batch x time,
// flattened; what a column is (head, channel) is the business of the operation that reads it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "kernels/matrix.h"

namespace flashlm {

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int32_t rows = 0, cols = 0, stride = 0;  // stride in elements
  int32_t id = -1;     // its gradient's slot on the tape; views share the slot of what they look into
  int32_t column = 0;  // first column within that slot

  kernels::Matrix matrix() const { return {data, dtype, rows, cols, stride}; }
  float* f32() const { return static_cast<float*>(data); }
};
static_assert(std::is_trivially_copyable_v<Tensor>);

}  // namespace flashlm
