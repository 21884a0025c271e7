#include "kernels/gemm/few_rows_int8.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/parallel.h"

namespace flashlm::kernels {
namespace {

// A panel is two vectors wide, with two chains of additions for each output (see few_rows.cc).
constexpr int64_t kVectors = 2;
constexpr int64_t kOutputs = kVectors * 16;
constexpr int kMostRows = 6;

// GCC 12 takes its own header's undefined vectors for uninitialised ones.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

// Each 32-bit lane of sum += four unsigned times four signed bytes. Highway 1.0 has no such operation, and GCC 12 moves
// the accumulators of its intrinsic between registers and the stack, at twice the time.
__attribute__((target("avx512f,avx512vnni"), always_inline)) inline void Dot(__m512i& sum, __m512i x, __m512i w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

// y[n, 0..outputs) = row n of x (the inputs plus 128) times the panel, less what the offset adds: 128 times the panel's
// `weight_sums`.
template <int kRows>
__attribute__((target("avx512f,avx512vnni"))) void MultiplyBlock(const uint8_t* x, int64_t stride, const int8_t* panel,
                                                                 const int32_t* weight_sums, float* y, int64_t y_stride,
                                                                 int64_t outputs) {
  constexpr int64_t kVector = 64;  // integers of a vector
  __m512i even[kRows][kVectors], odd[kRows][kVectors];
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) even[n][v] = odd[n][v] = _mm512_setzero_si512();
  }
  for (int64_t i = 0; i < stride; i += 8, panel += 2 * kVectors * kVector) {
    __m512i first[kVectors], second[kVectors];
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) {
      first[v] = _mm512_load_si512(panel + v * kVector);
      second[v] = _mm512_load_si512(panel + (kVectors + v) * kVector);
    }
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      const uint8_t* words = x + n * stride + i;
      const __m512i x_even = _mm512_broadcastd_epi32(_mm_loadu_si32(words));
      const __m512i x_odd = _mm512_broadcastd_epi32(_mm_loadu_si32(words + 4));
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) {
        Dot(even[n][v], x_even, first[v]);
        Dot(odd[n][v], x_odd, second[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) {
      const __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(weight_sums + v * 16), 7);
      const __m512i sum = _mm512_sub_epi32(_mm512_add_epi32(even[n][v], odd[n][v]), offset);
      const auto valid = static_cast<__mmask16>((1u << std::clamp<int64_t>(outputs - v * 16, 0, 16)) - 1);
      _mm512_mask_storeu_ps(y + n * y_stride + v * 16, valid, _mm512_cvtepi32_ps(sum));
    }
  }
}

#pragma GCC diagnostic pop

// to = q + 128. What follows to the end of a pair of words meets weights of zero, so it may be anything.
void AddOffset(const int8_t* q, int64_t count, uint8_t* to) {
  constexpr uint64_t kOffsets = 0x8080808080808080;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, q + i, 8);
    eight ^= kOffsets;
    std::memcpy(to + i, &eight, 8);
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(q[i] + 128);
}

}  // namespace

void Int8Panels::SetValues(const int8_t* w, int64_t out, int64_t in) {
  panels_.SetValues({const_cast<int8_t*>(w), DType::kI8, out, in, in}, DType::kI8, kOutputs);
  sums_.assign(static_cast<size_t>(panels_.count() * kOutputs), 0);
  for (int64_t o = 0; o < out; ++o) sums_[static_cast<size_t>(o)] = std::accumulate(w + o * in, w + (o + 1) * in, 0);
}

void FewRowsInt8Product(const Matrix& q, const Int8Panels& w, const Matrix& y) {
  constexpr int64_t kWorthAThread = 65536;  // weights
  const Panels& panels = w.panels();
  const int64_t stride = PaddedInputs(q.cols, DType::kI8);
  thread_local Buffer offset;
  auto* x = static_cast<uint8_t*>(offset.AtLeast(static_cast<size_t>(q.rows * stride)));
  for (int64_t n = 0; n < q.rows; ++n) AddOffset(q.Row<int8_t>(n), q.cols, x + n * stride);
  ParallelShares(panels.count(), WorthThreads(q.rows, y.cols * q.cols, kWorthAThread), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kOutputs, outputs = std::min(kOutputs, y.cols - first);
      const int8_t* panel = static_cast<const int8_t*>(panels.data()) + first * stride;
      ForRowBlocks<kMostRows>(q.rows, [&](int64_t row, auto count) {
        MultiplyBlock<count>(x + row * stride, stride, panel, w.sums() + first, y.Row<float>(row) + first, y.stride,
                             outputs);
      });
    }
  });
}

}  // namespace flashlm::kernels
