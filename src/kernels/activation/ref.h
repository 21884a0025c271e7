// The definitions of the gates, templated on the number type so that complex-step differentiation applies.
// All matrices are dense, row-major.
#pragma once

#include <cmath>
#include <complex>
#include <numbers>

namespace flashlm::kernels::ref {

template <class S>
S Sigmoid(S x) {
  using std::exp;
  return S(1) / (S(1) + exp(-x));
}

// y[N,F] = silu(gate) * up, with x[N,2F] = gate|up.
template <class S>
void SwiGlu(const S* x, int rows, int cols, S* y) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) {
      const S gate = x[r * 2 * cols + c], up = x[r * 2 * cols + cols + c];
      y[r * cols + c] = gate * Sigmoid(gate) * up;
    }
  }
}

inline double Erf(double x) { return std::erf(x); }
// To first order in the imaginary part, which is all that a complex step sees.
inline std::complex<double> Erf(std::complex<double> x) {
  return {std::erf(x.real()), x.imag() * std::numbers::inv_sqrtpi * 2 * std::exp(-x.real() * x.real())};
}

// y[N,F] = gelu(gate) * up, with x[N,2F] = gate|up.
template <class S>
void GeGlu(const S* x, int rows, int cols, S* y) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) {
      const S gate = x[r * 2 * cols + c], up = x[r * 2 * cols + cols + c];
      y[r * cols + c] = gate * (S(1) + Erf(gate / S(std::numbers::sqrt2))) / S(2) * up;
    }
  }
}

// y = sigmoid(gate) * a + (1 - sigmoid(gate)) * b, for n elements.
template <class S>
void GateMix(const S* gate, const S* a, const S* b, int n, S* y) {
  for (int i = 0; i < n; ++i) {
    const S open = Sigmoid(gate[i]);
    y[i] = open * a[i] + (S(1) - open) * b[i];
  }
}

// y[N] = x[N,C] . w[C].
template <class S>
void RowDot(const S* x, const S* w, int rows, int cols, S* y) {
  for (int r = 0; r < rows; ++r) {
    y[r] = S(0);
    for (int c = 0; c < cols; ++c) y[r] += x[r * cols + c] * w[c];
  }
}

}  // namespace flashlm::kernels::ref
