// The definition of the norms, templated on the number type so that complex-step differentiation applies.
#pragma once

#include <cmath>

namespace flashlm::kernels::ref {

template <class S>
void RmsNorm(const S* x, const S* gain, double eps, int rows, int cols, S* y) {
  using std::sqrt;
  for (int r = 0; r < rows; ++r) {
    S squares = 0;
    for (int c = 0; c < cols; ++c) squares += x[r * cols + c] * x[r * cols + c];
    const S inv_rms = S(1) / sqrt(squares / S(cols) + S(eps));
    for (int c = 0; c < cols; ++c) y[r * cols + c] = x[r * cols + c] * inv_rms * gain[c];
  }
}

template <class S>
void LayerNorm(const S* x, const S* gain, const S* bias, int groups, double eps, int rows, int cols, S* y) {
  using std::sqrt;
  const int width = cols / groups;
  for (int r = 0; r < rows; ++r) {
    for (int begin = 0; begin < cols; begin += width) {
      S mean = 0, variance = 0;
      for (int c = begin; c < begin + width; ++c) mean += x[r * cols + c] / S(width);
      for (int c = begin; c < begin + width; ++c) variance += (x[r * cols + c] - mean) * (x[r * cols + c] - mean);
      const S inverse = S(1) / sqrt(variance / S(width) + S(eps));
      for (int c = begin; c < begin + width; ++c) {
        y[r * cols + c] = (x[r * cols + c] - mean) * inverse * gain[c] + bias[c];
      }
    }
  }
}

}  // namespace flashlm::kernels::ref
