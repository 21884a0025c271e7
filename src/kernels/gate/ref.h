// The definitions of the gates, templated on the number type so that complex-step differentiation applies.
// All matrices are dense, row-major, of n elements.
#pragma once

#include "kernels/activation/ref.h"

namespace flashlm::kernels::ref {

// y = sigmoid(gate) * a + (1 - sigmoid(gate)) * b.
template <class S>
void GateMix(const S* gate, const S* a, const S* b, int n, S* y) {
  for (int i = 0; i < n; ++i) {
    const S open = Sigmoid(gate[i]);
    y[i] = open * a[i] + (S(1) - open) * b[i];
  }
}

// y = sigmoid(gate) * x.
template <class S>
void SigmoidGate(const S* gate, const S* x, int n, S* y) {
  for (int i = 0; i < n; ++i) y[i] = Sigmoid(gate[i]) * x[i];
}

// y = x + sigmoid(gate) * branch, with one gate for all elements.
template <class S>
void AddGated(const S* x, const S* branch, S gate, int n, S* y) {
  for (int i = 0; i < n; ++i) y[i] = x[i] + Sigmoid(gate) * branch[i];
}

}  // namespace flashlm::kernels::ref
