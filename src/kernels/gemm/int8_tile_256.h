// The loops of int8_tile.h in 256 bits, for CPUs with AVX-VNNI and without AVX-512: the same panels, and sums of
// integers, so the same bits. There are 16 registers instead of 32, so a tile is half as wide and has one chain of
// additions for each output.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "kernels/gemm/int8_tile.h"

#define FLASHLM_AVX2 __attribute__((target("avx2,fma")))
#define FLASHLM_AVX2_INLINE __attribute__((target("avx2,fma"), always_inline)) inline

namespace flashlm::kernels {

// The same instruction as AVX-VNNI has it, and as AVX-512 has it, where tests stand in for CPUs with the former.
enum class Encoding : uint8_t { kVex, kEvex };

// Each 32-bit lane of sum += four unsigned times four signed bytes.
template <Encoding kEncoding>
FLASHLM_AVX2_INLINE void Dot(__m256i& sum, __m256i x, __m256i w) {
  if constexpr (kEncoding == Encoding::kVex) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
  } else {
    asm("vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
  }
}

FLASHLM_AVX2_INLINE __m256i LoadWords(const void* words) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(words));
}
FLASHLM_AVX2_INLINE void StoreWords(void* to, __m256i words) { _mm256_storeu_si256(static_cast<__m256i*>(to), words); }
// Four bytes in every lane.
FLASHLM_AVX2_INLINE __m256i SameWord(const void* word) { return _mm256_broadcastd_epi32(_mm_loadu_si32(word)); }

// Of `left` numbers from here on those that a vector has.
FLASHLM_AVX2_INLINE void StoreFloats(float* to, int64_t left, __m256 v) {
  if (left >= 8) return _mm256_storeu_ps(to, v);
  alignas(32) float all[8];
  _mm256_store_ps(all, v);
  std::copy_n(all, std::max<int64_t>(left, 0), to);
}

// sums[n][o] = row n of x times output o of the panel, of all rows and outputs. Apart from what becomes of them, and
// with loops over vectors written out: GCC 12 would keep the sums in memory all the time.
template <Encoding kEncoding, int kRows>
FLASHLM_AVX2 __attribute__((noinline)) void SumPanel256(const uint8_t* x, int64_t stride, const int8_t* panel,
                                                        int32_t (*sums)[kInt8Outputs]) {
  constexpr int64_t kLanes = 8, kBytes = 32, kWord = kInt8Outputs * 4;  // of a vector; of a word of all outputs, bytes
  // As many chains of additions, up to 12, as an instruction takes cycles in both of its units: few rows take all
  // outputs of the panel at once, a single one two words as well.
  constexpr int kVectors = kRows <= 3 ? 4 : 2;
  constexpr bool kTwoWords = kRows == 1;
  for (int64_t first = 0; first < kInt8Outputs; first += kVectors * kLanes, panel += kVectors * kBytes) {
    __m256i sum[kRows][kVectors];
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      sum[n][0] = sum[n][1] = _mm256_setzero_si256();
      if constexpr (kVectors == 4) sum[n][2] = sum[n][3] = _mm256_setzero_si256();
    }
    __m256i odd0 = _mm256_setzero_si256(), odd1 = odd0, odd2 = odd0, odd3 = odd0;
    const int8_t* weights = panel;
    for (int64_t i = 0; i < stride; i += kTwoWords ? 8 : 4, weights += kTwoWords ? 2 * kWord : kWord) {
      const __m256i w0 = LoadWords(weights), w1 = LoadWords(weights + kBytes);
#pragma GCC unroll 6
      for (int n = 0; n < kRows; ++n) {
        const __m256i word = SameWord(x + n * stride + i);
        Dot<kEncoding>(sum[n][0], word, w0);
        Dot<kEncoding>(sum[n][1], word, w1);
        if constexpr (kVectors == 4) {
          Dot<kEncoding>(sum[n][2], word, LoadWords(weights + 2 * kBytes));
          Dot<kEncoding>(sum[n][3], word, LoadWords(weights + 3 * kBytes));
        }
      }
      if constexpr (kTwoWords) {
        const __m256i word = SameWord(x + i + 4);
        Dot<kEncoding>(odd0, word, LoadWords(weights + kWord));
        Dot<kEncoding>(odd1, word, LoadWords(weights + kWord + kBytes));
        Dot<kEncoding>(odd2, word, LoadWords(weights + kWord + 2 * kBytes));
        Dot<kEncoding>(odd3, word, LoadWords(weights + kWord + 3 * kBytes));
      }
    }
    if constexpr (kTwoWords) {
      sum[0][0] = _mm256_add_epi32(sum[0][0], odd0);
      sum[0][1] = _mm256_add_epi32(sum[0][1], odd1);
      sum[0][2] = _mm256_add_epi32(sum[0][2], odd2);
      sum[0][3] = _mm256_add_epi32(sum[0][3], odd3);
    }
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      StoreWords(sums[n] + first, sum[n][0]);
      StoreWords(sums[n] + first + kLanes, sum[n][1]);
      if constexpr (kVectors == 4) {
        StoreWords(sums[n] + first + 2 * kLanes, sum[n][2]);
        StoreWords(sums[n] + first + 3 * kLanes, sum[n][3]);
      }
    }
  }
}

// As Int8Tile. Calls store(n, first output, outputs left from there on, sums).
template <Encoding kEncoding, int kRows, class Store>
FLASHLM_AVX2 void Int8Tile256(const uint8_t* x, int64_t stride, const int8_t* panel, const int32_t* weight_sums,
                              int64_t outputs, const Store& store) {
  alignas(32) int32_t sums[kRows][kInt8Outputs];
  SumPanel256<kEncoding, kRows>(x, stride, panel, sums);
  for (int64_t first = 0; first < outputs; first += 8) {
    const __m256i offset = _mm256_slli_epi32(LoadWords(weight_sums + first), 7);
    for (int n = 0; n < kRows; ++n) {
      store(n, first, outputs - first, _mm256_sub_epi32(LoadWords(sums[n] + first), offset));
    }
  }
}

}  // namespace flashlm::kernels
