#include "kernels/gemm/ternary_gemv.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/ternary_gemv.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kOutputs = 4;  // of a tile

// Four consecutive products of an unsigned and a signed byte are summed into each 32-bit lane. Highway 1.0 has no such
// operation, hence the intrinsics.
#if HWY_TARGET == HWY_AVX3
constexpr int64_t kBytes = 64;
using Integers = __m512i;
HWY_INLINE Integers Zero() { return _mm512_setzero_si512(); }
HWY_INLINE Integers Load(const void* p) { return _mm512_loadu_si512(p); }
// Bits 2k and 2k + 1 of every byte.
template <int k>
HWY_INLINE Integers Codes(Integers packed) {
  return _mm512_and_si512(_mm512_srli_epi16(packed, 2 * k), _mm512_set1_epi8(3));
}
// Without VNNI: sums of two fit 16 bits (2 * 2 * 127).
HWY_INLINE Integers Dot(Integers sum, Integers codes, Integers q) {
  const __m512i pairs = _mm512_maddubs_epi16(codes, q);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
HWY_INLINE VF ToFloats(Integers v) { return VF{_mm512_cvtepi32_ps(v)}; }
#elif HWY_TARGET == HWY_AVX2
constexpr int64_t kBytes = 32;
using Integers = __m256i;
HWY_INLINE Integers Zero() { return _mm256_setzero_si256(); }
HWY_INLINE Integers Load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
template <int k>
HWY_INLINE Integers Codes(Integers packed) {
  return _mm256_and_si256(_mm256_srli_epi16(packed, 2 * k), _mm256_set1_epi8(3));
}
HWY_INLINE Integers Dot(Integers sum, Integers codes, Integers q) {
  const __m256i pairs = _mm256_maddubs_epi16(codes, q);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
HWY_INLINE VF ToFloats(Integers v) { return VF{_mm256_cvtepi32_ps(v)}; }
#else
constexpr int64_t kBytes = 4;  // reached only by tests: FLASHLM_ISA=scalar takes plain loops
#endif

int64_t ChunkBytes() { return kBytes; }

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
template <int XRows>
HWY_INLINE void MultiplyTile(const int8_t* q, int64_t stride, const uint8_t* tile, float* sums) {
  Integers sum[XRows][kOutputs];
#pragma GCC unroll 4
  for (int n = 0; n < XRows; ++n) {
#pragma GCC unroll 4
    for (int64_t o = 0; o < kOutputs; ++o) sum[n][o] = Zero();
  }
  for (int64_t i = 0; i < stride; i += 4 * kBytes, tile += kOutputs * kBytes) {
#pragma GCC unroll 4
    for (int64_t o = 0; o < kOutputs; ++o) {
      const Integers packed = Load(tile + o * kBytes);
      const Integers w0 = Codes<0>(packed), w1 = Codes<1>(packed), w2 = Codes<2>(packed), w3 = Codes<3>(packed);
#pragma GCC unroll 4
      for (int n = 0; n < XRows; ++n) {
        const int8_t* row = q + n * stride + i;
        Integers s = Dot(sum[n][o], w0, Load(row));
        s = Dot(s, w1, Load(row + kBytes));
        s = Dot(s, w2, Load(row + 2 * kBytes));
        sum[n][o] = Dot(s, w3, Load(row + 3 * kBytes));
      }
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < XRows; ++n) {
    StoreSums(ToFloats(sum[n][0]), ToFloats(sum[n][1]), ToFloats(sum[n][2]), ToFloats(sum[n][3]), sums + n * kOutputs);
  }
}
#else
template <int XRows>
void MultiplyTile(const int8_t* q, int64_t stride, const uint8_t* tile, float* sums) {
  for (int n = 0; n < XRows; ++n) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      int64_t sum = 0;
      for (int64_t i = 0; i < stride; ++i) {
        const int64_t chunk = i / (4 * kBytes), within = i % (4 * kBytes);
        const uint8_t byte = tile[(chunk * kOutputs + o) * kBytes + within % kBytes];
        const int64_t code = (byte >> (2 * (within / kBytes))) & 3;
        sum += code * q[n * stride + i];
      }
      sums[n * kOutputs + o] = static_cast<float>(sum);
    }
  }
}
#endif

// Tiles [begin, end). q: [rows, stride], continued with zeros; row_sums: the sum of each row, which the codes' offset
// of 1 adds to every output.
template <int XRows>
void MultiplyRows(const int8_t* q, int64_t stride, const float* row_sums, const uint8_t* tiles, const Matrix& y,
                  int64_t begin, int64_t end) {
  const int64_t tile_bytes = kOutputs * stride / 4;
  HWY_ALIGN float sums[XRows * kOutputs];
  for (int64_t t = begin; t < end; ++t) {
    MultiplyTile<XRows>(q, stride, tiles + t * tile_bytes, sums);
    const int64_t outputs = std::min(kOutputs, y.cols - t * kOutputs);
    for (int n = 0; n < XRows; ++n) {
      float* to = y.Row<float>(n) + t * kOutputs;
      for (int64_t o = 0; o < outputs; ++o) to[o] = sums[n * kOutputs + o] - row_sums[n];
    }
  }
}

void MultiplyTernary(const int8_t* q, int64_t rows, int64_t stride, const float* row_sums, const uint8_t* tiles,
                     const Matrix& y, int64_t begin, int64_t end) {
  for (int64_t n = 0; n < rows; n += 4) {
    const Matrix part = y.Rows(n, std::min<int64_t>(4, rows - n));
    const int8_t* from = q + n * stride;
    switch (rows - n) {
      case 1:
        MultiplyRows<1>(from, stride, row_sums + n, tiles, part, begin, end);
        break;
      case 2:
        MultiplyRows<2>(from, stride, row_sums + n, tiles, part, begin, end);
        break;
      case 3:
        MultiplyRows<3>(from, stride, row_sums + n, tiles, part, begin, end);
        break;
      default:
        MultiplyRows<4>(from, stride, row_sums + n, tiles, part, begin, end);
        break;
    }
  }
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(ChunkBytes);
HWY_EXPORT(MultiplyTernary);

constexpr int64_t kTileOutputs = 4;

// Inputs continued to whole chunks of four vectors.
int64_t PaddedInputs(int64_t in) {
  const int64_t chunk = 4 * FLASHLM_DISPATCH(ChunkBytes)();
  return (in + chunk - 1) / chunk * chunk;
}

}  // namespace

void TernaryMatVecWeight::SetRows(const TritRows& rows, int64_t out, int64_t in) {
  out_ = out;
  in_ = in;
  const int64_t vector = FLASHLM_DISPATCH(ChunkBytes)(), padded = PaddedInputs(in);
  const int64_t tiles = (out + kTileOutputs - 1) / kTileOutputs;
  auto* to = static_cast<uint8_t*>(tiles_.AtLeast(static_cast<size_t>(tiles * kTileOutputs * padded / 4)));
  std::vector<uint8_t> codes(static_cast<size_t>(kTileOutputs * in));
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t first = tile * kTileOutputs;
    rows(first, std::min(kTileOutputs, out - first), codes.data());
    for (int64_t chunk = 0; chunk < padded; chunk += 4 * vector) {
      for (int64_t o = 0; o < kTileOutputs; ++o) {
        for (int64_t b = 0; b < vector; ++b) {
          unsigned byte = 0;
          for (int k = 0; k < 4; ++k) {
            const int64_t i = chunk + k * vector + b;
            const unsigned code = first + o < out && i < in ? codes[static_cast<size_t>(o * in + i)] : 1;  // 1: zero
            byte |= code << (2 * k);
          }
          *to++ = static_cast<uint8_t>(byte);
        }
      }
    }
  }
}

void TernaryMatVec(const Matrix& q, const TernaryMatVecWeight& w, const Matrix& y) {
  // Below this much work another thread costs more than it takes over.
  constexpr int64_t kWorthAThread = 512 * int64_t{1024};
  const int64_t stride = PaddedInputs(w.in());
  thread_local std::vector<int8_t> padded;
  thread_local std::vector<float> row_sums;
  padded.assign(static_cast<size_t>(q.rows * stride), 0);
  row_sums.resize(static_cast<size_t>(q.rows));
  for (int64_t n = 0; n < q.rows; ++n) {
    const int8_t* row = q.Row<int8_t>(n);
    std::copy_n(row, q.cols, padded.begin() + n * stride);
    row_sums[static_cast<size_t>(n)] = static_cast<float>(std::accumulate(row, row + q.cols, 0));
  }
  const int8_t* rows = padded.data();
  const float* sums = row_sums.data();
  const int64_t tiles = (w.out() + kTileOutputs - 1) / kTileOutputs;
  ParallelShares(tiles, w.out() * w.in() * q.rows >= kWorthAThread, [&](int64_t begin, int64_t end) {
    FLASHLM_DISPATCH(MultiplyTernary)(rows, q.rows, stride, sums, w.tiles(), y, begin, end);
  });
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
