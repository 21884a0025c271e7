// The inner loop of int8 products in the vectors that the CPU has. Call only if HasVnni().
#pragma once

#include "kernels/gemm/int8_tile.h"
#include "kernels/gemm/int8_tile_256.h"
#include "kernels/isa.h"

namespace flashlm::kernels {

// to = q + 128. What follows to the end of a pair of words meets weights of zero, so it may be anything.
FLASHLM_AVX2 inline void AddInt8Offset(const int8_t* q, int64_t count, uint8_t* to) {
  const __m256i offsets = _mm256_set1_epi8(-128);
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_xor_si256(bytes, offsets));
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(q[i] + 128);
}

// Calls f(std::integral_constant<Encoding, encoding>) where vectors have 256 bits; false where they have 512.
template <class F>
bool With256(const F& f) {
  switch (ActiveVnni()) {
    case Vnni::kAvx2:
      f(std::integral_constant<Encoding, Encoding::kVex>());
      return true;
    case Vnni::kAvx2InEvex:
      f(std::integral_constant<Encoding, Encoding::kEvex>());
      return true;
    default:
      return false;
  }
}

// Int8Tile or Int8Tile256: `store` takes the sums of either.
template <int kRows, class Store>
void MultiplyInt8Tile(const uint8_t* x, int64_t stride, const int8_t* panel, const int32_t* weight_sums,
                      int64_t outputs, const Store& store) {
  const bool done =
      With256([&](auto encoding) { Int8Tile256<encoding, kRows>(x, stride, panel, weight_sums, outputs, store); });
  if (!done) Int8Tile<kRows>(x, stride, panel, weight_sums, outputs, store);
}

}  // namespace flashlm::kernels
