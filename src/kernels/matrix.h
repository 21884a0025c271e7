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
  // Columns [begin, begin + count).
  Matrix Columns(int64_t begin, int64_t count) const {
    return {static_cast<char*>(data) + begin * static_cast<int64_t>(SizeOf(dtype)), dtype, rows, count, stride};
  }
  // Rows [begin, begin + count); of no matrix, no matrix.
  Matrix Rows(int64_t begin, int64_t count) const {
    Matrix part = *this;
    if (data != nullptr) part.data = static_cast<char*>(data) + begin * stride * static_cast<int64_t>(SizeOf(dtype));
    part.rows = count;
    return part;
  }
};

// Calls f<T>() with T the element type, float or BFloat16: Dispatch(m.dtype, [&]<class T>() { ... m.Row<T>(r) ... }).
template <class F>
decltype(auto) Dispatch(DType dtype, const F& f) {
  return dtype == DType::kBF16 ? f.template operator()<BFloat16>() : f.template operator()<float>();
}
// The same for matrices of two types: Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() { ... }).
template <class F>
decltype(auto) Dispatch(DType first, DType second, const F& f) {
  return Dispatch(first, [&]<class T>() -> decltype(auto) {
    return Dispatch(second, [&]<class U>() -> decltype(auto) { return f.template operator()<T, U>(); });
  });
}

}  // namespace flashlm::kernels
