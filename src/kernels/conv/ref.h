// The definition of the gated convolution, templated on the number type so that complex-step differentiation applies.
#pragma once

#include "kernels/activation/ref.h"
#include "kernels/conv/conv.h"

namespace flashlm::kernels::ref {

template <class S>
void GatedConv(const ConvShape& shape, const S* x, const S* kernel, S* y) {
  const int64_t width = shape.width;
  for (int64_t row = 0; row < shape.batch * shape.length; ++row) {
    for (int64_t c = 0; c < width; ++c) {
      S sum = 0;
      for (int64_t back = 0; back < shape.taps && back <= row % shape.length; ++back) {
        sum += kernel[c * shape.taps + shape.taps - 1 - back] * x[(row - back) * 2 * width + width + c];
      }
      y[row * width + c] = Sigmoid(x[row * 2 * width + c]) * sum;
    }
  }
}

}  // namespace flashlm::kernels::ref
