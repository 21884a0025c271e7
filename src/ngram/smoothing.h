// Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1998), written once for the counts and for the packed
// model:
//
//   p_n(w | h) = (c(hw) - D_n(c(hw))) / C(h) + gamma(h) p_{n-1}(w | h'),   h' = h without its first token,
//
// p_0 = 1 / V. c is how often hw was seen (the highest order, and what begins a document) or after how many different
// tokens (the other orders); C(h) is the sum of c(hw) over w. What the discounts D take, and what was pruned, is
// gamma(h), so that probabilities add up to 1 whatever is pruned or rounded.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace flashlm {

inline constexpr int kMaxNGramOrder = 5;

// Of one order: D of counts 1, 2, and 3 or more.
struct Discounts {
  std::array<float, 3> of{};

  float Of(uint32_t count) const { return count == 0 ? 0.0f : of[std::min<uint32_t>(count, 3) - 1]; }
};

// What was seen after a context.
struct ContextSums {
  int32_t total = 0;               // C(h)
  std::array<int32_t, 3> kinds{};  // kept n-grams of count 1, 2, 3 or more
  int32_t pruned = 0;              // the part of `total` that is not kept

  // One n-gram of this context more (sign 1) or less (-1).
  void Add(uint32_t count, bool kept, int sign = 1) {
    if (count == 0) return;
    total += sign * static_cast<int32_t>(count);
    if (kept) {
      kinds[std::min<uint32_t>(count, 3) - 1] += sign;
    } else {
      pruned += sign * static_cast<int32_t>(count);
    }
  }
  ContextSums operator-(const ContextSums& other) const {
    ContextSums rest = *this;
    rest.total -= other.total;
    for (size_t i = 0; i < kinds.size(); ++i) rest.kinds[i] -= other.kinds[i];
    rest.pruned -= other.pruned;
    return rest;
  }
  float Gamma(const Discounts& d) const {
    float mass = static_cast<float>(pruned);
    for (size_t i = 0; i < kinds.size(); ++i) mass += d.of[i] * static_cast<float>(kinds[i]);
    return mass / static_cast<float>(total);
  }
};

// The share of one n-gram of a context in p_n, and all of it.
inline float DiscountedShare(uint32_t count, const Discounts& d, float total) {
  return count == 0 ? 0.0f : (static_cast<float>(count) - d.Of(count)) / total;
}
inline float Interpolate(float share, float gamma, float lower) { return share + gamma * lower; }

}  // namespace flashlm
