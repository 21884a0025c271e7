// The definition of the ternary quantisers, templated on the number type: the real part is rounded, the
// imaginary part of complex-step differentiation passes straight through (docs/spec/ternary.md).
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>

#include "kernels/ternary/ternary.h"

namespace flashlm::kernels::ref {

inline double RealPart(double x) { return x; }
inline double RealPart(const std::complex<double>& x) { return x.real(); }

// effective[out,in] = scale * {-1, 0, +1}.
template <class S>
void Ternarize(Ternary kind, const S* w, int out, int in, S* effective) {
  const int rows = kind == Ternary::kRow ? 1 : out;  // that share a scale
  for (int first = 0; first < out; first += rows) {
    S magnitude = 0;
    for (int i = first * in; i < (first + rows) * in; ++i) magnitude += RealPart(w[i]) < 0 ? -w[i] : w[i];
    magnitude /= S(rows * in);
    if (kind != Ternary::kMean && RealPart(magnitude) < 1e-5) magnitude = 1e-5;
    const double divisor = RealPart(magnitude) + (kind == Ternary::kMean ? 1e-8 : 0);
    for (int i = first * in; i < (first + rows) * in; ++i) {
      const double trit = std::clamp(std::nearbyint(RealPart(w[i]) / divisor), -1.0, 1.0);
      const S through = w[i] - RealPart(w[i]);
      effective[i] =
          kind == Ternary::kScaleGradient ? magnitude * (trit + through) : RealPart(magnitude) * trit + through;
    }
  }
}

// Rounded to int8 per row and scaled back.
template <class S>
void QuantizeRows(const S* x, int rows, int cols, S* y) {
  for (int r = 0; r < rows; ++r) {
    double largest = 0;
    for (int c = 0; c < cols; ++c) largest = std::max(largest, std::abs(RealPart(x[r * cols + c])));
    for (int c = 0; c < cols; ++c) {
      const S value = x[r * cols + c];
      const double scaled = largest > 0 ? std::nearbyint(RealPart(value) * 127 / largest) * largest / 127 : 0;
      y[r * cols + c] = scaled + (value - RealPart(value));
    }
  }
}

}  // namespace flashlm::kernels::ref
