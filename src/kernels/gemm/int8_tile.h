// The inner loop of int8 products on CPUs with VNNI: some rows of integers times a panel of outputs (panels.h), in
// registers. What becomes of the sums is the caller's.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#define FLASHLM_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define FLASHLM_VNNI_INLINE __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"), always_inline)) inline

namespace flashlm::kernels {

// A panel is two vectors wide, with two chains of additions for each output (see few_rows.cc).
constexpr int64_t kInt8Vectors = 2;
constexpr int64_t kInt8Outputs = kInt8Vectors * 16;
constexpr int kMostInt8Rows = 6;

// GCC 12 takes its own header's undefined vectors for uninitialised ones.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

// Each 32-bit lane of sum += four unsigned times four signed bytes. Highway 1.0 has no such operation, and GCC 12 moves
// the accumulators of its intrinsic between registers and the stack, at twice the time.
FLASHLM_VNNI_INLINE void Dot(__m512i& sum, __m512i x, __m512i w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

// Of `left` lanes from here on, those that a vector has.
inline __mmask16 FirstLanes(int64_t left) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(left, 0, 16)) - 1);
}

// Calls store(n, first output, mask, sums) with rows n of x (the inputs plus 128) times the panel, less what the offset
// adds: 128 times the panel's `weight_sums`.
template <int kRows, class Store>
FLASHLM_VNNI void Int8Tile(const uint8_t* x, int64_t stride, const int8_t* panel, const int32_t* weight_sums,
                           int64_t outputs, const Store& store) {
  constexpr int64_t kVector = 64;  // integers of a vector
  __m512i even[kRows][kInt8Vectors], odd[kRows][kInt8Vectors];
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kInt8Vectors; ++v) even[n][v] = odd[n][v] = _mm512_setzero_si512();
  }
  for (int64_t i = 0; i < stride; i += 8, panel += 2 * kInt8Vectors * kVector) {
    __m512i first[kInt8Vectors], second[kInt8Vectors];
#pragma GCC unroll 2
    for (int64_t v = 0; v < kInt8Vectors; ++v) {
      first[v] = _mm512_load_si512(panel + v * kVector);
      second[v] = _mm512_load_si512(panel + (kInt8Vectors + v) * kVector);
    }
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      const uint8_t* words = x + n * stride + i;
      const __m512i x_even = _mm512_broadcastd_epi32(_mm_loadu_si32(words));
      const __m512i x_odd = _mm512_broadcastd_epi32(_mm_loadu_si32(words + 4));
#pragma GCC unroll 2
      for (int64_t v = 0; v < kInt8Vectors; ++v) {
        Dot(even[n][v], x_even, first[v]);
        Dot(odd[n][v], x_odd, second[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kInt8Vectors; ++v) {
      const __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(weight_sums + v * 16), 7);
      store(n, v * 16, FirstLanes(outputs - v * 16), _mm512_sub_epi32(_mm512_add_epi32(even[n][v], odd[n][v]), offset));
    }
  }
}

#pragma GCC diagnostic pop

}  // namespace flashlm::kernels
