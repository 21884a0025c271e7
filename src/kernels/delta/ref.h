// The definition of the gated memory, templated on the number type so that complex-step differentiation
// applies.
#pragma once

#include <cmath>
#include <complex>
#include <vector>

#include "kernels/delta/delta.h"

namespace flashlm::kernels::ref {

// x / max(|x|, 1e-12). |x| is the square root of the plain sum of squares: analytic, as the complex step
// needs it.
template <class S>
std::vector<S> UnitVector(const S* x, int n) {
  using std::sqrt;
  S squares = 0;
  for (int i = 0; i < n; ++i) squares += x[i] * x[i];
  S norm = sqrt(squares);
  if (!(std::real(norm) >= 1e-12)) norm = 1e-12;
  std::vector<S> unit(x, x + n);
  for (S& u : unit) u /= norm;
  return unit;
}

// proj: [B*T, 3*H*M + H (+ H)], contiguous; alpha_bias: [H]; state: [B,H,M,M], read and replaced, or null
// (zeros); out: [B*T, H*M].
template <class S>
void DeltaMemory(const DeltaShape& shape, const S* proj, const S* alpha_bias, S* state, S* out) {
  using std::exp;
  const int heads = shape.heads, m = shape.mem_dim, width = heads * m;
  const int cols = 3 * width + heads * (shape.delta_rule ? 2 : 1);
  const auto sigmoid = [](S x) { return S(1) / (S(1) + exp(-x)); };
  for (int b = 0; b < shape.batch; ++b) {
    for (int h = 0; h < heads; ++h) {
      std::vector<S> zeros(state ? 0 : m * m, S(0));
      S* s = state ? state + (b * heads + h) * m * m : zeros.data();
      for (int t = 0; t < shape.length; ++t) {
        const S* row = proj + (b * shape.length + t) * cols;
        const std::vector<S> k = UnitVector(row + h * m, m), q = UnitVector(row + 2 * width + h * m, m);
        const S* v = row + width + h * m;
        const S beta = sigmoid(row[3 * width + h]);
        const S alpha = shape.delta_rule ? sigmoid(row[3 * width + heads + h] + alpha_bias[h]) : S(1) - beta;
        for (int j = 0; j < m; ++j) {
          S expected = 0;  // what the memory already answers to k
          for (int i = 0; i < m; ++i) expected += alpha * s[i * m + j] * k[i];
          const S write = shape.delta_rule ? beta * (v[j] - expected) : v[j];
          S read = 0;
          for (int i = 0; i < m; ++i) {
            s[i * m + j] = alpha * s[i * m + j] + k[i] * write;
            read += s[i * m + j] * q[i];
          }
          out[(b * shape.length + t) * width + h * m + j] = read / std::sqrt(double(m)) + beta * v[j];
        }
      }
    }
  }
}

}  // namespace flashlm::kernels::ref
