#include "kernels/gemm/int8_gemv.h"

#include <immintrin.h>

#include <algorithm>
#include <numeric>

#include "base/parallel.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kTile = 8;     // outputs
constexpr int64_t kVector = 64;  // inputs

int64_t Padded(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// GCC 12 takes its own header's undefined vectors for uninitialised ones.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// Tiles [begin, end). x: the inputs plus 128, [rows, stride]. Highway 1.0 has no unsigned-by-signed dot product, hence
// the intrinsics.
__attribute__((target("avx512f,avx512vnni"))) void MultiplyTiles(const uint8_t* x, int64_t stride,
                                                                 const Int8MatVecWeight& w, const Matrix& y,
                                                                 int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t n = 0; n < y.rows; ++n) {
      const int8_t* tile = w.tiles() + t * kTile * stride;
      __m512i sum[kTile];
#pragma GCC unroll 8
      for (int64_t o = 0; o < kTile; ++o) sum[o] = _mm512_setzero_si512();
      for (int64_t i = 0; i < stride; i += kVector, tile += kTile * kVector) {
        const __m512i inputs = _mm512_loadu_si512(x + n * stride + i);
#pragma GCC unroll 8
        for (int64_t o = 0; o < kTile; ++o) {
          sum[o] = _mm512_dpbusd_epi32(sum[o], inputs, _mm512_load_si512(tile + o * kVector));
        }
      }
      const int64_t outputs = std::min(kTile, w.out() - t * kTile);
      float* to = y.Row<float>(n) + t * kTile;
      int32_t totals[kTile];
#pragma GCC unroll 8
      for (int64_t o = 0; o < kTile; ++o) totals[o] = _mm512_reduce_add_epi32(sum[o]);
      for (int64_t o = 0; o < outputs; ++o) to[o] = static_cast<float>(totals[o] - 128 * w.sums()[t * kTile + o]);
    }
  }
}

#pragma GCC diagnostic pop

}  // namespace

void Int8MatVecWeight::SetValues(const int8_t* w, int64_t out, int64_t in) {
  out_ = out;
  in_ = in;
  const int64_t stride = Padded(in, kVector), tiles = Padded(out, kTile) / kTile;
  auto* packed = static_cast<int8_t*>(tiles_.AtLeast(static_cast<size_t>(tiles * kTile * stride)));
  sums_.resize(static_cast<size_t>(out));
  ParallelBlocks(tiles, 16, [&](int64_t begin, int64_t end) {
    int8_t* to = packed + begin * kTile * stride;
    for (int64_t tile = begin; tile < end; ++tile) {
      for (int64_t first = 0; first < stride; first += kVector) {
        for (int64_t o = tile * kTile; o < (tile + 1) * kTile; ++o, to += kVector) {
          const int64_t count = o < out ? std::clamp<int64_t>(in - first, 0, kVector) : 0;
          std::copy_n(w + (count > 0 ? o * in + first : 0), count, to);
          std::fill(to + count, to + kVector, int8_t{0});
        }
      }
    }
  });
  for (int64_t o = 0; o < out; ++o) sums_[static_cast<size_t>(o)] = std::accumulate(w + o * in, w + (o + 1) * in, 0);
}

void Int8MatVec(const Matrix& q, const Int8MatVecWeight& w, const Matrix& y) {
  // Below this much work another thread costs more than it takes over.
  constexpr int64_t kWorthAThread = 192 * 1024;
  const int64_t stride = Padded(w.in(), kVector);
  thread_local std::vector<uint8_t> shifted;
  shifted.resize(static_cast<size_t>(q.rows * stride));
  for (int64_t n = 0; n < q.rows; ++n) {
    for (int64_t i = 0; i < q.cols; ++i) {
      shifted[static_cast<size_t>(n * stride + i)] = static_cast<uint8_t>(q.Row<int8_t>(n)[i] + 128);
    }
  }
  const uint8_t* x = shifted.data();
  const int64_t tiles = Padded(w.out(), kTile) / kTile;
  ParallelShares(tiles, w.out() * w.in() * q.rows >= kWorthAThread,
                 [&](int64_t begin, int64_t end) { MultiplyTiles(x, stride, w, y, begin, end); });
}

}  // namespace flashlm::kernels
