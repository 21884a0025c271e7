// The definitions of the recurrences, templated on the number type so that complex-step differentiation applies.
#pragma once

#include <vector>

#include "kernels/activation/ref.h"
#include "kernels/scan/scan.h"

namespace flashlm::kernels::ref {

// proj [B*T, 3C], columns forget|value|open.
template <class S>
void GatedScan(const ScanShape& shape, const S* proj, const S* bias, double floor, S* y) {
  const int64_t width = shape.width;
  for (int64_t b = 0; b < shape.batch; ++b) {
    std::vector<S> state(static_cast<size_t>(width), S(0));
    for (int64_t row = b * shape.length; row < (b + 1) * shape.length; ++row) {
      for (int64_t c = 0; c < width; ++c) {
        const S* at = proj + row * 3 * width + c;
        const S keep = S(floor) + S(1 - floor) * Sigmoid(at[0] + bias[c]);
        S& s = state[static_cast<size_t>(c)];
        s = keep * s + (S(1) - keep) * at[width];
        y[row * width + c] = Sigmoid(at[2 * width]) * s;
      }
    }
  }
}

template <class S>
void DecayScan(const ScanShape& shape, const S* proj, const S* decay, S* y) {
  const int64_t width = shape.width;
  for (int64_t b = 0; b < shape.batch; ++b) {
    std::vector<S> state(static_cast<size_t>(width), S(0));
    for (int64_t row = b * shape.length; row < (b + 1) * shape.length; ++row) {
      for (int64_t c = 0; c < width; ++c) {
        const S* at = proj + row * 2 * width + c;
        S& s = state[static_cast<size_t>(c)];
        s = Sigmoid(decay[c]) * s + Sigmoid(at[0]) * at[width];
        y[row * width + c] = s;
      }
    }
  }
}

template <class S>
void RunningMean(const ScanShape& shape, const S* x, S* y) {
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t c = 0; c < shape.width; ++c) {
      S sum = 0;
      for (int64_t t = 0; t < shape.length; ++t) {
        const int64_t at = (b * shape.length + t) * shape.width + c;
        sum += x[at];
        y[at] = sum / S(static_cast<double>(t + 1));
      }
    }
  }
}

}  // namespace flashlm::kernels::ref
