// The definitions of the shifts, templated on the number type so that complex-step differentiation applies.
#pragma once

#include "kernels/activation/ref.h"
#include "kernels/shift/shift.h"

namespace flashlm::kernels::ref {

template <class S>
void TokenShift(const ShiftShape& shape, const S* x, const S* mix, int64_t cols, S* y) {
  for (int64_t row = 0; row < shape.batch * shape.length; ++row) {
    for (int64_t c = 0; c < cols; ++c) {
      const S now = x[row * cols + c], before = row % shape.length == 0 ? S(0) : x[(row - 1) * cols + c];
      y[row * cols + c] = Sigmoid(mix[c]) * now + (S(1) - Sigmoid(mix[c])) * before;
    }
  }
}

template <class S>
void PairWithPast(const ShiftShape& shape, const S* x, int64_t cols, S* y) {
  for (int64_t row = 0; row < shape.batch * shape.length; ++row) {
    for (int64_t c = 0; c < cols; ++c) {
      y[row * 2 * cols + c] = x[row * cols + c];
      y[row * 2 * cols + cols + c] = row % shape.length < shape.lag ? S(0) : x[(row - shape.lag) * cols + c];
    }
  }
}

}  // namespace flashlm::kernels::ref
