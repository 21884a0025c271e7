// The definition of sliding-window attention, templated on the number type so that complex-step
// differentiation applies (no branch depends on the numbers).
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "kernels/rope/rope.h"

namespace flashlm::kernels::ref {

// Turns pair i of x[D] by position * RopeFrequency.
template <class S>
void Rotate(Rope rope, int D, int position, S* x, double base = kRopeBase) {
  for (int i = 0; rope != Rope::kNone && i < D / 2; ++i) {
    const double angle = position * RopeFrequency(rope, D, i, base);
    const int64_t even = 2 * int64_t{i};
    S& first = rope == Rope::kInterleaved ? x[even] : x[i];
    S& second = rope == Rope::kInterleaved ? x[even + 1] : x[i + D / 2];
    const S a = first, b = second;
    first = a * std::cos(angle) - b * std::sin(angle);
    second = b * std::cos(angle) + a * std::sin(angle);
  }
}

// qkv: [B*T, 3*H*D], columns q|k|v; out: [B*T, H*D]; rows start at position 0. keep: factors of the
// probabilities, [B,H,T,T] (query, key), null for none.
template <class S>
void Attention(int B, int T, int H, int D, int W, Rope rope, const S* qkv, S* out, const double* keep = nullptr,
               double rope_base = kRopeBase) {
  using std::exp;
  const int C = H * D;
  std::vector<S> rotated(qkv, qkv + static_cast<size_t>(B) * T * 3 * C);
  for (int row = 0; row < B * T; ++row) {
    for (int head = 0; head < 2 * H; ++head) Rotate(rope, D, row % T, &rotated[row * 3 * C + head * D], rope_base);
  }
  for (int row = 0; row < B * T; ++row) {
    const int b = row / T, t = row % T, first = t - W + 1 > 0 ? t - W + 1 : 0;
    for (int h = 0; h < H; ++h) {
      const S* q = &rotated[row * 3 * C + h * D];
      std::vector<S> weights(t + 1);
      double largest = -1e300;
      for (int s = first; s <= t; ++s) {
        const S* k = &rotated[(b * T + s) * 3 * C + C + h * D];
        for (int i = 0; i < D; ++i) weights[s] += q[i] * k[i] / std::sqrt(static_cast<double>(D));
        largest = std::max(largest, std::real(weights[s]));
      }
      S sum = 0;
      for (int s = first; s <= t; ++s) sum += weights[s] = exp(weights[s] - largest);
      for (int i = 0; i < D; ++i) {
        S value = 0;
        for (int s = first; s <= t; ++s) {
          const double factor = keep == nullptr ? 1.0 : keep[((b * H + h) * T + t) * T + s];
          value += factor * weights[s] / sum * rotated[(b * T + s) * 3 * C + 2 * C + h * D + i];
        }
        out[row * C + h * D + i] = value;
      }
    }
  }
}

}  // namespace flashlm::kernels::ref
