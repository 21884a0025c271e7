// What kernels see of a tensor: a pointer, an element type and sizes.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace flashlm::kernels {

// Row-major; element (r, c) is at data[r * stride + c], stride in elements.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0, cols = 0, stride = 0;

  template <class T>
  T* Row(int64_t r) const {
    return static_cast<T*>(data) + r * stride;
  }
  // Rows [begin, begin + count); of no matrix, no matrix.
  Matrix Rows(int64_t begin, int64_t count) const {
    Matrix part = *this;
    if (data != nullptr) part.data = static_cast<char*>(data) + begin * stride * static_cast<int64_t>(SizeOf(dtype));
    part.rows = count;
    return part;
  }
};

// Calls f with a null T* of the matrix's element type: Dispatch(m, [&](auto* t) { using T = ...; }).
template <class F>
decltype(auto) WithElementType(DType dtype, const F& f) {
  return dtype == DType::kBF16 ? f(static_cast<BFloat16*>(nullptr)) : f(static_cast<float*>(nullptr));
}

}  // namespace flashlm::kernels
