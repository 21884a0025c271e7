// The definitions of the activations, templated on the number type so that complex-step differentiation applies.
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

// y = max(x, 0)^2, for n elements.
template <class S>
void ReluSquared(const S* x, int n, S* y) {
  for (int i = 0; i < n; ++i) y[i] = std::real(x[i]) > 0 ? x[i] * x[i] : S(0);
}

// y = x * sigmoid(x), for n elements.
template <class S>
void Silu(const S* x, int n, S* y) {
  for (int i = 0; i < n; ++i) y[i] = x[i] * Sigmoid(x[i]);
}

}  // namespace flashlm::kernels::ref
