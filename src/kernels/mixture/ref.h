// The definitions of the mixtures, templated on the number type so that complex-step differentiation applies.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/activation/ref.h"

namespace flashlm::kernels::ref {

template <class S>
void AddMixture(const S* x, const S* logits, const S* a, const S* b, int64_t rows, int64_t cols, S* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const S first = Sigmoid(logits[2 * r] - logits[2 * r + 1]);
    for (int64_t i = r * cols; i < (r + 1) * cols; ++i) y[i] = x[i] + first * a[i] + (S(1) - first) * b[i];
  }
}

template <class S>
void SlotRead(const S* x, const S* query, const S* slots, int64_t rows, int64_t cols, int64_t count, S* y) {
  using std::exp;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<S> weights;
    S total = 0;
    for (int64_t s = 0; s < count; ++s) {
      S dot = 0;
      for (int64_t c = 0; c < cols; ++c) dot += query[r * cols + c] * slots[s * cols + c];
      weights.push_back(exp(dot / std::sqrt(double(cols))));
      total += weights.back();
    }
    for (int64_t c = 0; c < cols; ++c) {
      y[r * 2 * cols + c] = x[r * cols + c];
      S read = 0;
      for (int64_t s = 0; s < count; ++s) read += weights[static_cast<size_t>(s)] / total * slots[s * cols + c];
      y[r * 2 * cols + cols + c] = read;
    }
  }
}

}  // namespace flashlm::kernels::ref
