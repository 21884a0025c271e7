// The definition of routing, templated on the number type so that complex-step differentiation applies (the choice
// depends on real parts alone).
#pragma once

#include <cmath>
#include <complex>

namespace flashlm::kernels::ref {

// Softmax of logits[K] at its largest entry, whose index goes to *choice (the first of equals).
template <class S>
S Route(const S* logits, int K, int* choice) {
  using std::exp;
  *choice = 0;
  for (int k = 1; k < K; ++k) {
    if (std::real(logits[k]) > std::real(logits[*choice])) *choice = k;
  }
  S sum = 0;
  for (int k = 0; k < K; ++k) sum += exp(logits[k] - logits[*choice]);
  return S(1) / sum;
}

}  // namespace flashlm::kernels::ref
