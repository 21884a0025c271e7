#include "kernels/gemm/few_rows_trits.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm/int8_tiles.h"
#include "kernels/gemm/panels.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kOutputs = TritPanels::kOutputs, kInputs = TritPanels::kInputs;
constexpr int64_t kVector = 64;  // bytes
constexpr int64_t kPanels = 2;   // read side by side, so that there are enough chains of additions
constexpr int kMostRows = 6;

// GCC 12 takes its own header's undefined vectors for uninitialised ones.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

// y[n, 0..outputs) = row n of q times the panels, less the row's sum, which the codes' offset of 1 adds. Panels lie
// panel_bytes apart; of the last one there may be no second, which then is the first again.
template <int kRows>
FLASHLM_VNNI void MultiplyBlock(const int8_t* q, int64_t stride, const int32_t* row_sums, const uint8_t* panel,
                                int64_t panel_bytes, float* y, int64_t y_stride, int64_t outputs) {
  const __m512i three = _mm512_set1_epi8(3);
  __m512i even[kRows][kPanels], odd[kRows][kPanels];
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t p = 0; p < kPanels; ++p) even[n][p] = odd[n][p] = _mm512_setzero_si512();
  }
  const int64_t next = outputs > kOutputs ? panel_bytes : 0;
  for (int64_t i = 0; i < stride; i += kInputs, panel += kVector) {
    __m512i codes[kPanels][4];
#pragma GCC unroll 2
    for (int64_t p = 0; p < kPanels; ++p) {
      const __m512i packed = _mm512_load_si512(panel + p * next);
      codes[p][0] = _mm512_and_si512(packed, three);
      codes[p][1] = _mm512_and_si512(_mm512_srli_epi16(packed, 2), three);
      codes[p][2] = _mm512_and_si512(_mm512_srli_epi16(packed, 4), three);
      codes[p][3] = _mm512_and_si512(_mm512_srli_epi16(packed, 6), three);
    }
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      const int8_t* words = q + n * stride + i;
#pragma GCC unroll 2
      for (int64_t k = 0; k < 4; k += 2) {
        const __m512i first = _mm512_broadcastd_epi32(_mm_loadu_si32(words + 4 * k));
        const __m512i second = _mm512_broadcastd_epi32(_mm_loadu_si32(words + 4 * k + 4));
#pragma GCC unroll 2
        for (int64_t p = 0; p < kPanels; ++p) {
          Dot(even[n][p], codes[p][k], first);
          Dot(odd[n][p], codes[p][k + 1], second);
        }
      }
    }
  }
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
    const __m512i offset = _mm512_set1_epi32(row_sums[n]);
#pragma GCC unroll 2
    for (int64_t p = 0; p < kPanels; ++p) {
      const __m512i sum = _mm512_sub_epi32(_mm512_add_epi32(even[n][p], odd[n][p]), offset);
      _mm512_mask_storeu_ps(y + n * y_stride + p * kOutputs, FirstLanes(outputs - p * kOutputs),
                            _mm512_cvtepi32_ps(sum));
    }
  }
}

#pragma GCC diagnostic pop

// The sums of rows of q times a panel, in vectors of 256 bits; apart as in SumPanel256.
template <Encoding kEncoding, int kRows>
FLASHLM_AVX2 __attribute__((noinline)) void SumTritPanel256(const int8_t* q, int64_t stride, const uint8_t* panel,
                                                            int32_t (*sums)[kOutputs]) {
  const __m256i three = _mm256_set1_epi8(3);
  __m256i sum[kRows][2];
#pragma GCC unroll 4
  for (int n = 0; n < kRows; ++n) sum[n][0] = sum[n][1] = _mm256_setzero_si256();
  for (int64_t i = 0; i < stride; i += kInputs, panel += kVector) {
    __m256i low = LoadWords(panel), high = LoadWords(panel + kVector / 2);
    for (int64_t k = 0; k < 4; ++k) {
      const __m256i low_codes = _mm256_and_si256(low, three), high_codes = _mm256_and_si256(high, three);
#pragma GCC unroll 4
      for (int n = 0; n < kRows; ++n) {
        const __m256i word = SameWord(q + n * stride + i + 4 * k);
        Dot<kEncoding>(sum[n][0], low_codes, word);
        Dot<kEncoding>(sum[n][1], high_codes, word);
      }
      low = _mm256_srli_epi16(low, 2);
      high = _mm256_srli_epi16(high, 2);
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < kRows; ++n) {
    StoreWords(sums[n], sum[n][0]);
    StoreWords(sums[n] + 8, sum[n][1]);
  }
}

// As MultiplyBlock, of one panel.
template <Encoding kEncoding, int kRows>
FLASHLM_AVX2 void MultiplyPanel256(const int8_t* q, int64_t stride, const int32_t* row_sums, const uint8_t* panel,
                                   float* y, int64_t y_stride, int64_t outputs) {
  alignas(32) int32_t all[kRows][kOutputs];
  SumTritPanel256<kEncoding, kRows>(q, stride, panel, all);
  for (int n = 0; n < kRows; ++n) {
    for (int64_t h = 0; h < kOutputs; h += 8) {
      const __m256i sum = _mm256_sub_epi32(LoadWords(all[n] + h), _mm256_set1_epi32(row_sums[n]));
      StoreFloats(y + n * y_stride + h, outputs - h, _mm256_cvtepi32_ps(sum));
    }
  }
}

constexpr int kZeros = 0x55;  // a byte of four zeros

// The codes of an output, 16 inputs in the 32 bits at `lane` and every vector further on: input 4k + b in bits 8b + 2k
// and the next.
void PackRow(const uint8_t* codes, int64_t in, uint8_t* lane) {
  uint32_t words[4];
  static_assert(sizeof words == kInputs);
  for (int64_t i = 0; i < in; i += kInputs, lane += kVector) {
    if (in - i < kInputs) std::memset(words, 1, sizeof words);
    std::memcpy(words, codes + i, static_cast<size_t>(std::min(kInputs, in - i)));
    const uint32_t packed = words[0] | words[1] << 2 | words[2] << 4 | words[3] << 6;
    std::memcpy(lane, &packed, sizeof packed);  // little-endian: byte b is bits 8b to 8b + 7
  }
}

}  // namespace

void TritPanels::SetRows(const TritRows& rows, int64_t out, int64_t in) {
  out_ = out;
  in_ = in;
  const int64_t panel_bytes = padded_in() / kInputs * kVector;
  auto* data = static_cast<uint8_t*>(data_.AtLeast(static_cast<size_t>(count() * panel_bytes)));
  ParallelFor(count(), [&](int64_t panel) {
    thread_local std::vector<uint8_t> codes;  // [outputs,in]
    codes.resize(static_cast<size_t>(kOutputs * in));
    const int64_t outputs = std::min(kOutputs, out - panel * kOutputs);
    rows(panel * kOutputs, outputs, codes.data());
    uint8_t* const vectors = data + panel * panel_bytes;
    std::memset(vectors, kZeros, static_cast<size_t>(panel_bytes));
    for (int64_t o = 0; o < outputs; ++o) PackRow(codes.data() + o * in, in, vectors + o * 4);
  });
}

void FewRowsTritProduct(const Matrix& q, const TritPanels& w, const Matrix& y) {
  constexpr int64_t kWorthAThread = 131072;  // weights
  const int64_t stride = w.padded_in(), panel_bytes = stride / kInputs * kVector;
  thread_local std::vector<int8_t> padded;
  thread_local std::vector<int32_t> row_sums;
  padded.assign(static_cast<size_t>(q.rows * stride), 0);
  row_sums.resize(static_cast<size_t>(q.rows));
  for (int64_t n = 0; n < q.rows; ++n) {
    const int8_t* row = q.Row<int8_t>(n);
    std::copy_n(row, q.cols, padded.begin() + n * stride);
    row_sums[static_cast<size_t>(n)] = std::accumulate(row, row + q.cols, 0);
  }
  const int8_t* rows = padded.data();
  const int32_t* sums = row_sums.data();
  const int64_t pairs = (w.count() + kPanels - 1) / kPanels;
  ParallelShares(pairs, WorthThreads(q.rows, y.cols * q.cols, kWorthAThread), [&](int64_t begin, int64_t end) {
    for (int64_t pair = begin; pair < end; ++pair) {
      const int64_t first = pair * kPanels * kOutputs, outputs = std::min(kPanels * kOutputs, y.cols - first);
      const bool done = With256([&](auto encoding) {
        constexpr int kMost = 4;  // of 16 registers
        for (int64_t o = 0; o < outputs; o += kOutputs) {
          const uint8_t* const panel = w.data() + (first + o) / kOutputs * panel_bytes;
          ForRowBlocks<kMost>(q.rows, [&](int64_t row, auto count) {
            MultiplyPanel256<encoding, count>(rows + row * stride, stride, sums + row, panel,
                                              y.Row<float>(row) + first + o, y.stride, outputs - o);
          });
        }
      });
      if (done) continue;
      ForRowBlocks<kMostRows>(q.rows, [&](int64_t row, auto count) {
        MultiplyBlock<count>(rows + row * stride, stride, sums + row, w.data() + pair * kPanels * panel_bytes,
                             panel_bytes, y.Row<float>(row) + first, y.stride, outputs);
      });
    }
  });
}

}  // namespace flashlm::kernels
