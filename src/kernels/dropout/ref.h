// Which elements dropout keeps: the definition, one element at a time. kernels/dropout/philox-inl.h computes
// the same values a group of columns at a time.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/rng.h"

namespace flashlm::kernels {

// Element (row, column) of a matrix has a 16-bit random number; it is dropped if the number is below
// `threshold`. One Philox block has eight such numbers, and a group of 64 columns uses eight blocks,
// interleaved so that vector code of any width up to 512 bits finds consecutive columns in consecutive lanes
// without a transposition.
constexpr int64_t kDropoutGroup = 64;

struct DropoutRule {
  PhiloxKey key{};
  uint64_t step = 0;
  uint32_t threshold = 0;  // of 65,536
  float scale = 1;         // of what is kept
};

// p in [0, 1); rounded to 1/65,536 for the decision, exact in the scale 1/(1 - p).
inline DropoutRule MakeDropoutRule(float p, PhiloxKey key, uint64_t step) {
  return {key, step, static_cast<uint32_t>(std::lround(p * 65536.0f)), 1.0f / (1.0f - p)};
}

// Rows count modulo 2^32. Within a group, k = 0..3 numbers its runs of 16 columns and i = 0..15 the columns
// in a run: block i / 2, word i % 2 + 2 * (k / 2), lower or upper half of the word as k % 2.
inline uint32_t DropoutNumber(const DropoutRule& rule, int64_t row, int64_t column) {
  const auto group = static_cast<uint32_t>(column / kDropoutGroup);
  const auto within = static_cast<uint32_t>(column % kDropoutGroup);
  const uint32_t k = within / 16, i = within % 16;
  const auto words = Philox(rule.key, {group * 8 + i / 2, static_cast<uint32_t>(row), static_cast<uint32_t>(rule.step),
                                       static_cast<uint32_t>(rule.step >> 32)});
  return words[i % 2 + 2 * (k / 2)] >> (16 * (k % 2)) & 0xffffu;
}

// 0 or 1/(1 - p): the factor of element (row, column).
inline float DropoutScale(const DropoutRule& rule, int64_t row, int64_t column) {
  return DropoutNumber(rule, row, column) < rule.threshold ? 0.0f : rule.scale;
}

}  // namespace flashlm::kernels
