// Matrices that are not kept as floats, handed out by rows as products take them over.
#pragma once

#include <cstdint>
#include <functional>

namespace flashlm::kernels {

// Writes rows [first, first + count) of a ternary matrix, one after another, as codes: 0, 1, 2 for -1, 0, +1. Called
// from several threads at once.
using TritRows = std::function<void(int64_t first, int64_t count, uint8_t* codes)>;
// The same of a matrix of int8 integers with a scale a row. scales: [count].
using Int8Rows = std::function<void(int64_t first, int64_t count, int8_t* integers, float* scales)>;
// The values of a matrix (f32, contiguous), made when they are asked for.
using MatrixValues = std::function<const float*()>;

// The signs of w (f32 [out,in], contiguous), which must stay where it is.
inline TritRows TritsOf(const float* w, int64_t in) {
  return [w, in](int64_t first, int64_t count, uint8_t* codes) {
    for (int64_t i = 0; i < count * in; ++i) {
      const float value = w[first * in + i];
      codes[i] = static_cast<uint8_t>(1 + (value > 0) - (value < 0));
    }
  };
}

}  // namespace flashlm::kernels
