#include "kernels/gemm/gemv.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/gemv.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kTile = 8;  // outputs

// Weights are read in chunks of two vectors' worth of f32. A chunk of bf16 fills one register; a shift gives its even
// elements and a mask its odd ones, which is half the work of widening consecutive elements. x is laid out to match
// once per call: the even elements of a chunk, then its odd ones. For f32 weights a chunk is simply two vectors.
HWY_INLINE size_t ChunkSize() { return 2 * hn::Lanes(DF()); }

HWY_INLINE void LoadChunk(const float* p, VF& first, VF& second) {
  const DF d;
  first = hn::LoadU(d, p);
  second = hn::LoadU(d, p + hn::Lanes(d));
}
HWY_INLINE void LoadChunk(const BFloat16* p, VF& even, VF& odd) {
  const DF d;
#if HWY_TARGET == HWY_SCALAR
  even = hn::Set(d, ToFloat(p[0]));
  odd = hn::Set(d, ToFloat(p[1]));
#else
  const DU du;
  const hn::Repartition<uint16_t, DU> d16;
  const auto bits = hn::BitCast(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  even = hn::BitCast(d, hn::ShiftLeft<16>(bits));
  odd = hn::BitCast(d, hn::And(bits, hn::Set(du, 0xffff0000u)));
#endif
}

// The layout of x for weights of type TW, continued with zeros to whole chunks.
template <class TW, class TX>
void ArrangeRow(const TX* x, size_t cols, float* out) {
  const DF d;
  const size_t chunk = ChunkSize();
  const auto arrange = [&](const TX* p, float* to) HWY_ATTR {
    VF first, second;
    if constexpr (sizeof(TW) == 2 && sizeof(TX) == 4) {
      hn::LoadInterleaved2(d, p, first, second);
    } else if constexpr (sizeof(TW) == 4 && sizeof(TX) == 2) {
      first = LoadF32(d, p);
      second = LoadF32(d, p + chunk / 2);
    } else {
      LoadChunk(p, first, second);
    }
    hn::Store(first, d, to);
    hn::Store(second, d, to + chunk / 2);
  };
  size_t i = 0;
  for (; i + chunk <= cols; i += chunk) arrange(x + i, out + i);
  if (i < cols) {
    HWY_ALIGN TX padded[HWY_MAX_BYTES / 2] = {};
    std::copy(x + i, x + cols, padded);
    arrange(padded, out + i);
  }
}

// sums[n * WRows + o] = row n of x times output o of the tile, for XRows rows of x and WRows outputs. One accumulator
// for each pair, over the chunks in order: the same additions whatever group a pair falls into.
template <int XRows, int WRows, class TW>
HWY_INLINE void Products(const float* x, int64_t x_stride, const TW* tile, size_t padded_cols, float* sums) {
  const DF d;
  const size_t chunk = ChunkSize(), lanes = chunk / 2;
  VF sum[XRows][WRows];
#pragma GCC unroll 4
  for (int n = 0; n < XRows; ++n) {
#pragma GCC unroll 8
    for (int o = 0; o < WRows; ++o) sum[n][o] = hn::Zero(d);
  }
  for (size_t i = 0; i < padded_cols; i += chunk, tile += kTile * chunk) {
    VF x_first[XRows], x_second[XRows];
#pragma GCC unroll 4
    for (int n = 0; n < XRows; ++n) {
      x_first[n] = hn::LoadU(d, x + n * x_stride + i);
      x_second[n] = hn::LoadU(d, x + n * x_stride + i + lanes);
    }
#pragma GCC unroll 8
    for (int o = 0; o < WRows; ++o) {
      VF first, second;
      LoadChunk(tile + static_cast<size_t>(o) * chunk, first, second);
#pragma GCC unroll 4
      for (int n = 0; n < XRows; ++n) {
        sum[n][o] = hn::MulAdd(second, x_second[n], hn::MulAdd(first, x_first[n], sum[n][o]));
      }
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < XRows; ++n) {
#pragma GCC unroll 2
    for (int o = 0; o < WRows; o += 4) {
      StoreSums(sum[n][o], sum[n][o + 1], sum[n][o + 2], sum[n][o + 3], sums + WRows * n + o);
    }
  }
}

struct Operands {
  const float* x;  // arranged
  int64_t x_stride;
  Matrix y;
  bool accumulate;
};

template <class TY>
HWY_INLINE void StoreOutputs(const Matrix& y, bool accumulate, int64_t row, int64_t output, int64_t count,
                             const float* sums) {
  TY* to = y.Row<TY>(row) + output;
  for (int64_t o = 0; o < count; ++o) to[o] = FromFloat<TY>(accumulate ? ToFloat(to[o]) + sums[o] : sums[o]);
}

// One tile of weights for all rows of x.
template <class TW, class TY>
void MultiplyTile(const Operands& p, const TW* tile, int64_t output) {
  constexpr int kRows = HWY_MAX_BYTES == 64 ? 4 : 2;  // accumulators must fit into 32 or 16 registers
  const auto cols = static_cast<size_t>(p.x_stride);
  const int64_t outputs = std::min(kTile, p.y.cols - output);
  HWY_ALIGN float sums[kRows * kTile];
  int64_t n = 0;
  for (; n + kRows <= p.y.rows; n += kRows) {
    for (int64_t half = 0; half < outputs; half += kTile / 2) {
      Products<kRows, kTile / 2>(p.x + n * p.x_stride, p.x_stride, tile + half * static_cast<int64_t>(ChunkSize()),
                                 cols, sums);
      for (int64_t k = 0; k < kRows; ++k) {
        StoreOutputs<TY>(p.y, p.accumulate, n + k, output + half, std::min(kTile / 2, outputs - half),
                         sums + k * (kTile / 2));
      }
    }
  }
  for (; n < p.y.rows; ++n) {
    Products<1, kTile>(p.x + n * p.x_stride, p.x_stride, tile, cols, sums);
    StoreOutputs<TY>(p.y, p.accumulate, n, output, outputs, sums);
  }
}

int64_t ArrangedStride(int64_t cols) {
  const auto chunk = static_cast<int64_t>(ChunkSize());
  return (cols + chunk - 1) / chunk * chunk;
}

int64_t TileSize(int64_t cols) { return kTile * ArrangedStride(cols); }

// Tiles [begin, end) of w f32 [rows, cols], continued with zeros to whole tiles and chunks.
void PackTiles(const Matrix& w, DType dtype, void* tiles, int64_t begin, int64_t end) {
  const DF d;
  const auto chunk = static_cast<int64_t>(ChunkSize()), lanes = chunk / 2;
  WithElementType(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T* to = static_cast<T*>(tiles) + begin * TileSize(w.cols);
    for (int64_t tile = begin; tile < end; ++tile) {
      for (int64_t c = 0; c < w.cols; c += chunk) {
        for (int64_t r = tile * kTile; r < (tile + 1) * kTile; ++r, to += chunk) {
          if (r < w.rows && c + chunk <= w.cols) {
            StoreF32(hn::LoadU(d, w.Row<float>(r) + c), d, to);
            StoreF32(hn::LoadU(d, w.Row<float>(r) + c + lanes), d, to + lanes);
            continue;
          }
          for (int64_t i = 0; i < chunk; ++i) {
            to[i] = FromFloat<T>(r < w.rows && c + i < w.cols ? w.Row<float>(r)[c + i] : 0.0f);
          }
        }
      }
    }
  });
}

// Tiles [begin, end) of the product.
void MultiplyTiles(const Matrix& x, const void* tiles, DType dtype, const Matrix& y, bool accumulate, float* scratch,
                   int64_t begin, int64_t end) {
  const Operands operands{scratch, ArrangedStride(x.cols), y, accumulate};
  WithElementType(dtype, [&](auto* w_type) {
    using TW = std::remove_pointer_t<decltype(w_type)>;
    WithElementType(x.dtype, [&](auto* x_type) {
      using TX = std::remove_pointer_t<decltype(x_type)>;
      for (int64_t n = 0; n < x.rows; ++n) {
        ArrangeRow<TW>(x.Row<TX>(n), static_cast<size_t>(x.cols), scratch + n * operands.x_stride);
      }
    });
    WithElementType(y.dtype, [&](auto* y_type) {
      using TY = std::remove_pointer_t<decltype(y_type)>;
      for (int64_t t = begin; t < end; ++t) {
        MultiplyTile<TW, TY>(operands, static_cast<const TW*>(tiles) + t * TileSize(x.cols), t * kTile);
      }
    });
  });
}

#if HWY_TARGET == HWY_AVX3
// The same with the CPU's bf16 products, two a lane at once, which Highway 1.0 does not offer.
__attribute__((target("avx512bf16"))) void DotTiles(const Matrix& x, const BFloat16* tiles, const Matrix& y,
                                                     bool accumulate, float* scratch, int64_t begin, int64_t end) {
  constexpr int64_t kChunk = 32;
  const int64_t stride = ArrangedStride(x.cols);
  BFloat16* padded = reinterpret_cast<BFloat16*>(scratch);
  for (int64_t n = 0; n < x.rows; ++n) {
    std::copy_n(x.Row<BFloat16>(n), x.cols, padded + n * stride);
    std::fill(padded + n * stride + x.cols, padded + (n + 1) * stride, BFloat16{});
  }
  HWY_ALIGN float sums[kTile];
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t n = 0; n < x.rows; ++n) {
      const BFloat16* tile = tiles + t * TileSize(x.cols);
      __m512 sum[kTile];
#pragma GCC unroll 8
      for (int64_t o = 0; o < kTile; ++o) sum[o] = _mm512_setzero_ps();
      for (int64_t i = 0; i < stride; i += kChunk, tile += kTile * kChunk) {
        const auto a = reinterpret_cast<__m512bh>(_mm512_loadu_si512(padded + n * stride + i));
#pragma GCC unroll 8
        for (int64_t o = 0; o < kTile; ++o) {
          sum[o] = _mm512_dpbf16_ps(sum[o], a, reinterpret_cast<__m512bh>(_mm512_load_si512(tile + o * kChunk)));
        }
      }
      StoreSums(VF{sum[0]}, VF{sum[1]}, VF{sum[2]}, VF{sum[3]}, sums);
      StoreSums(VF{sum[4]}, VF{sum[5]}, VF{sum[6]}, VF{sum[7]}, sums + 4);
      const int64_t outputs = std::min(kTile, y.cols - t * kTile);
      WithElementType(y.dtype, [&](auto* y_type) {
        StoreOutputs<std::remove_pointer_t<decltype(y_type)>>(y, accumulate, n, t * kTile, outputs, sums);
      });
    }
  }
}
#endif

void Multiply(const Matrix& x, const void* tiles, DType dtype, const Matrix& y, bool accumulate, float* scratch,
              int64_t begin, int64_t end, [[maybe_unused]] bool native_bf16) {
#if HWY_TARGET == HWY_AVX3
  if (native_bf16 && dtype == DType::kBF16 && x.dtype == DType::kBF16) {
    return DotTiles(x, static_cast<const BFloat16*>(tiles), y, accumulate, scratch, begin, end);
  }
#endif
  MultiplyTiles(x, tiles, dtype, y, accumulate, scratch, begin, end);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(PackTiles);
HWY_EXPORT(TileSize);
HWY_EXPORT(Multiply);

constexpr int64_t kOutputsPerTile = 8;

}  // namespace

void MatVecWeight::SetValues(const float* w, int64_t out, int64_t in, DType dtype) {
  out_ = out;
  in_ = in;
  dtype_ = dtype;
  const int64_t tiles = (out + kOutputsPerTile - 1) / kOutputsPerTile;
  void* to = tiles_.AtLeast(static_cast<size_t>(tiles * FLASHLM_DISPATCH(TileSize)(in)) * SizeOf(dtype));
  const Matrix matrix{const_cast<float*>(w), DType::kF32, out, in, in};
  ParallelBlocks(tiles, 16, [&](int64_t begin, int64_t end) {
    FLASHLM_DISPATCH(PackTiles)(matrix, dtype, to, begin, end);
  });
}

void MatVec(const Matrix& x, const MatVecWeight& w, const Matrix& y, bool accumulate) {
  // Below this much work another thread costs more than it takes over.
  constexpr int64_t kWorthAThread = 96 * 1024;
  constexpr int64_t kWidestChunk = 32;
  static const bool native_bf16 = HasNativeBf16();
  const int64_t tiles = (w.out() + kOutputsPerTile - 1) / kOutputsPerTile;
  ParallelShares(tiles, w.out() * w.in() >= kWorthAThread, [&](int64_t begin, int64_t end) {
    // Each thread arranges x for itself: waiting for another's copy takes as long.
    thread_local Buffer arranged;
    void* scratch = arranged.AtLeast(static_cast<size_t>(x.rows * (x.cols + kWidestChunk)) * sizeof(float));
    FLASHLM_DISPATCH(Multiply)
    (x, w.tiles(), w.dtype(), y, accumulate, static_cast<float*>(scratch), begin, end, native_bf16);
  });
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
