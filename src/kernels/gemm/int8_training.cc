#include "kernels/gemm/int8_training.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/gemm/int8_tiles.h"
#include "kernels/gemm/token_blocks.h"
#include "kernels/isa.h"
#include "kernels/ternary/ternary.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kWorthAThread = 65536;  // weights, for a few rows (WorthThreads)

// y = or += (sum * scale of the row) * scale of the output: rounded like this everywhere.
inline float Scaled(int64_t sum, float row_scale, float output_scale, bool accumulate, float y) {
  const float of_row = static_cast<float>(sum) * row_scale;
  return accumulate ? std::fma(of_row, output_scale, y) : of_row * output_scale;
}

FLASHLM_VNNI_INLINE __m512 LoadLanes(const float* p, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, p); }
FLASHLM_VNNI_INLINE __m512 LoadLanes(const BFloat16* p, __mmask16 lanes) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
FLASHLM_VNNI_INLINE void StoreLanes(float* p, __mmask16 lanes, __m512 v) { _mm512_mask_storeu_ps(p, lanes, v); }
FLASHLM_VNNI_INLINE void StoreLanes(BFloat16* p, __mmask16 lanes, __m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  _mm512_mask_cvtepi32_storeu_epi16(p, lanes, _mm512_srli_epi32(rounded, 16));
}

// The same for the sums of a tile.
template <class T>
struct StoreScaled {
  T* y;
  int64_t stride;
  const float *row_scales, *output_scales;  // from the tile's first row and output on
  bool accumulate;

  FLASHLM_VNNI_INLINE void operator()(int n, int64_t first, __mmask16 lanes, __m512i sums) const {
    const __m512 of_row = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(row_scales[n]));
    const __m512 scale = _mm512_maskz_loadu_ps(lanes, output_scales + first);
    T* to = y + n * stride + first;
    StoreLanes(to, lanes,
               accumulate ? _mm512_fmadd_ps(of_row, scale, LoadLanes(to, lanes)) : _mm512_mul_ps(of_row, scale));
  }
  FLASHLM_AVX2_INLINE void operator()(int n, int64_t first, int64_t left, __m256i sums) const {
    const __m256 of_row = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(row_scales[n]));
    T* const to = y + n * stride + first;
    if constexpr (std::is_same_v<T, float>) {
      if (left >= 8) {
        const __m256 scale = _mm256_loadu_ps(output_scales + first);
        return _mm256_storeu_ps(
            to, accumulate ? _mm256_fmadd_ps(of_row, scale, _mm256_loadu_ps(to)) : _mm256_mul_ps(of_row, scale));
      }
    }
    alignas(32) float all[8];
    _mm256_store_ps(all, of_row);
    for (int64_t i = 0; i < std::min<int64_t>(left, 8); ++i) {
      const float scale = output_scales[first + i];
      to[i] = FromFloat<T>(accumulate ? std::fma(all[i], scale, ToFloat(to[i])) : all[i] * scale);
    }
  }
};

// Both forms of y = or += (q scales) (w output_scales)^T.
struct ScaledProduct {
  Matrix q;
  const float* scales;
  const int8_t* rows;  // of the weight, [out,in]
  const Int8Panels& panels;
  const float* output_scales;
  Matrix y;
  bool accumulate;

  void RunInVectors() const {
    const int64_t stride = PaddedInputs(q.cols, DType::kI8), units = panels.panels().count();
    thread_local Buffer offset;
    auto* x = static_cast<uint8_t*>(offset.AtLeast(static_cast<size_t>(q.rows * stride)));
    ForRowShares(q.rows, [&](int64_t n) { AddInt8Offset(q.Row<int8_t>(n), q.cols, x + n * stride); });
    ParallelShares(units, WorthThreads(q.rows, y.cols * q.cols, kWorthAThread), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) MultiplyPanel(x, stride, p);
    });
  }
  void RunInLoops() const {
    ParallelFor(q.rows, [&](int64_t r) {
      for (int64_t o = 0; o < y.cols; ++o) {
        int64_t sum = 0;
        for (int64_t i = 0; i < q.cols; ++i) sum += int64_t{q.Row<int8_t>(r)[i]} * rows[o * q.cols + i];
        Dispatch(y.dtype, [&]<class T>() {
          T& to = y.Row<T>(r)[o];
          to = FromFloat<T>(Scaled(sum, scales[r], output_scales[o], accumulate, ToFloat(to)));
        });
      }
    });
  }

 private:
  template <class Body>
  void ForRowShares(int64_t n, const Body& body) const {
    ParallelShares(n, n * q.cols >= 4 * kWorthAThread, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) body(r);
    });
  }
  void MultiplyPanel(const uint8_t* x, int64_t stride, int64_t p) const {
    const int64_t first = p * kInt8Outputs, outputs = std::min(kInt8Outputs, y.cols - first);
    const int8_t* panel = static_cast<const int8_t*>(panels.panels().data()) + first * stride;
    Dispatch(y.dtype, [&]<class T>() {
      ForRowBlocks<kMostInt8Rows>(q.rows, [&](int64_t row, auto count) {
        MultiplyInt8Tile<count>(
            x + row * stride, stride, panel, panels.sums() + first, outputs,
            StoreScaled<T>{y.Row<T>(row) + first, y.stride, scales + row, output_scales + first, accumulate});
      });
    });
  }
};

// The tokens of a block times each other: four outputs and up to 64 inputs of dw.
constexpr int64_t kTileOutputs = 4, kTileInputs = 64;
constexpr int64_t kWords = kTokensOfABlock / 4, kGroupBytes = kTokensOfABlock * 16;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

// dy: words of the first of the outputs; x: words of kVectors groups. Scales and sums run along.
template <int kVectors>
FLASHLM_VNNI void TokenTile(const int8_t* dy, const float* dy_scales, int64_t outputs, const int8_t* x,
                            const float* x_scales, const int32_t* x_sums, int64_t inputs, float* dw, int64_t stride) {
  __m512i sum[kTileOutputs][kVectors];
#pragma GCC unroll 4
  for (int64_t o = 0; o < kTileOutputs; ++o) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[o][v] = _mm512_setzero_si512();
  }
  for (int64_t word = 0; word < kWords; ++word) {
    __m512i tokens[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) tokens[v] = _mm512_load_si512(x + v * kGroupBytes + word * 64);
#pragma GCC unroll 4
    for (int64_t o = 0; o < kTileOutputs; ++o) {
      const __m512i of_output = _mm512_broadcastd_epi32(_mm_loadu_si32(dy + word * 64 + o * 4));
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) Dot(sum[o][v], of_output, tokens[v]);
    }
  }
#pragma GCC unroll 4
  for (int64_t o = 0; o < kTileOutputs; ++o) {
    if (o >= outputs) break;
#pragma GCC unroll 4
    for (int64_t v = 0; v < kVectors; ++v) {
      const __mmask16 lanes = FirstLanes(inputs - v * 16);
      const __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(x_sums + v * 16), 7);
      const __m512 of_output =
          _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum[o][v], offset)), _mm512_set1_ps(dy_scales[o]));
      float* to = dw + o * stride + v * 16;
      StoreLanes(to, lanes, _mm512_fmadd_ps(of_output, _mm512_loadu_ps(x_scales + v * 16), LoadLanes(to, lanes)));
    }
  }
}

#pragma GCC diagnostic pop

// The sums of four outputs and one group of inputs, in vectors of 256 bits; apart as in SumPanel256.
template <Encoding kEncoding>
FLASHLM_AVX2 __attribute__((noinline)) void SumTokens256(const int8_t* dy, const int8_t* x, int32_t (*sums)[16]) {
  __m256i sum[kTileOutputs][2];
#pragma GCC unroll 4
  for (int64_t o = 0; o < kTileOutputs; ++o) sum[o][0] = sum[o][1] = _mm256_setzero_si256();
  for (int64_t word = 0; word < kWords; ++word) {
    const __m256i low = LoadWords(x + word * 64), high = LoadWords(x + word * 64 + 32);
#pragma GCC unroll 4
    for (int64_t o = 0; o < kTileOutputs; ++o) {
      const __m256i of_output = SameWord(dy + word * 64 + o * 4);
      Dot<kEncoding>(sum[o][0], of_output, low);
      Dot<kEncoding>(sum[o][1], of_output, high);
    }
  }
#pragma GCC unroll 4
  for (int64_t o = 0; o < kTileOutputs; ++o) {
    StoreWords(sums[o], sum[o][0]);
    StoreWords(sums[o] + 8, sum[o][1]);
  }
}

// As TokenTile, of one group of inputs.
template <Encoding kEncoding>
FLASHLM_AVX2 void TokenTile256(const int8_t* dy, const float* dy_scales, int64_t outputs, const int8_t* x,
                               const float* x_scales, const int32_t* x_sums, int64_t inputs, float* dw,
                               int64_t stride) {
  alignas(32) int32_t all[kTileOutputs][16];
  SumTokens256<kEncoding>(dy, x, all);
  for (int64_t o = 0; o < std::min(outputs, kTileOutputs); ++o) {
    for (int64_t h = 0; h < 16; h += 8) {
      const __m256i sum = _mm256_sub_epi32(LoadWords(all[o] + h), _mm256_slli_epi32(LoadWords(x_sums + h), 7));
      const __m256 of_output = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(dy_scales[o]));
      const __m256 scale = _mm256_loadu_ps(x_scales + h);
      float* const to = dw + o * stride + h;
      if (inputs - h >= 8) {
        _mm256_storeu_ps(to, _mm256_fmadd_ps(of_output, scale, _mm256_loadu_ps(to)));
        continue;
      }
      alignas(32) float before[8] = {};
      std::copy_n(to, std::max<int64_t>(inputs - h, 0), before);
      StoreFloats(to, inputs - h, _mm256_fmadd_ps(of_output, scale, _mm256_load_ps(before)));
    }
  }
}

// Inputs from 16 `group` on, at most kTileInputs, and outputs of groups [begin, end), of all blocks.
void AddTiles(const TokenBlocks& dy, const TokenBlocks& x, const Matrix& dw, int64_t group, int64_t begin,
              int64_t end) {
  const int64_t inputs = std::min(kTileInputs, dw.cols - group * 16);
  const bool done = With256([&](auto encoding) {
    for (int64_t b = 0; b < x.blocks(); ++b) {
      for (int64_t first = begin * 16; first < std::min(end * 16, dw.rows); first += kTileOutputs) {
        for (int64_t column = 0; column < inputs; column += 16) {
          const int64_t g = group + column / 16;
          TokenTile256<encoding>(dy.words(b, first / 16) + first % 16 * 4, dy.scales(b, first / 16) + first % 16,
                                 dw.rows - first, x.words(b, g), x.scales(b, g), x.sums(b, g), inputs - column,
                                 dw.Row<float>(first) + g * 16, dw.stride);
        }
      }
    }
  });
  if (done) return;
  WithConstant<kTileInputs / 16>((inputs + 15) / 16, [&](auto vectors) {
    for (int64_t b = 0; b < x.blocks(); ++b) {
      for (int64_t first = begin * 16; first < std::min(end * 16, dw.rows); first += kTileOutputs) {
        const int64_t lane = first % 16;
        TokenTile<vectors>(dy.words(b, first / 16) + lane * 4, dy.scales(b, first / 16) + lane, dw.rows - first,
                           x.words(b, group), x.scales(b, group), x.sums(b, group), inputs,
                           dw.Row<float>(first) + group * 16, dw.stride);
      }
    }
  });
}

// The byte of a token in a column.
int8_t& ByteAt(const TokenBlocks& blocks, int64_t b, int64_t token, int64_t column) {
  return blocks.words(b, column / 16)[token / 4 * 64 + column % 16 * 4 + token % 4];
}

void AddInLoops(const TokenBlocks& dy, const TokenBlocks& x, const Matrix& dw) {
  ParallelFor(dw.rows, [&](int64_t o) {
    for (int64_t b = 0; b < x.blocks(); ++b) {
      for (int64_t i = 0; i < dw.cols; ++i) {
        int64_t sum = 0;
        for (int64_t t = 0; t < kTokensOfABlock; ++t) {
          sum += (int64_t{static_cast<uint8_t>(ByteAt(dy, b, t, o))} - 128) * ByteAt(x, b, t, i);
        }
        float& to = dw.Row<float>(o)[i];
        to = Scaled(sum, dy.scales(b, o / 16)[o % 16], x.scales(b, i / 16)[i % 16], true, to);
      }
    }
  });
}

// dw[out,in] (f32) += dy^T x, block after block; dy is without a sign (Taken), x signed (Rounded).
void AddTokenProduct(const TokenBlocks& dy, const TokenBlocks& x, const Matrix& dw) {
  if (!HasVnni()) return AddInLoops(dy, x, dw);
  // A unit's part of dw stays in the first-level cache while its blocks pass.
  constexpr int64_t kGroupsOfAUnit = 4;
  const int64_t across = (dw.cols + kTileInputs - 1) / kTileInputs;
  const int64_t down = (dy.groups() + kGroupsOfAUnit - 1) / kGroupsOfAUnit;
  ParallelShares(across * down, dw.rows * dw.cols * dy.blocks() >= kWorthAThread, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % down * kGroupsOfAUnit;
      AddTiles(dy, x, dw, unit / down * kTileInputs / 16, first, std::min(first + kGroupsOfAUnit, dy.groups()));
    }
  });
}

constexpr int64_t kLines = 16;  // of a transpose that are made at once: a cache line of every row

// to[C,R] = x[R,C], f32, C at most kLines.
void TransposeLines(const Matrix& x, float* to) {
  for (int64_t first = 0; first < x.rows; first += kLines) {
    const int64_t last = std::min(first + kLines, x.rows);
    for (int64_t c = 0; c < x.cols; ++c) {
      for (int64_t r = first; r < last; ++r) to[c * x.rows + r] = x.Row<float>(r)[c];
    }
  }
}

}  // namespace

void TrainingInt8Weight::SetValues(const float* w, int64_t out, int64_t in) {
  source_ = w;
  out_ = out;
  in_ = in;
  outputs_.rounded.Forget();
  inputs_.rounded.Forget();
}

template <class Lines>
void TrainingInt8Weight::Side::Round(int64_t count, int64_t length, const Lines& lines) {
  thread_local Buffer before_panels;
  scales.resize(static_cast<size_t>(count));
  if (!HasVnni()) rows.resize(static_cast<size_t>(count * length));
  auto* const to =
      HasVnni() ? static_cast<int8_t*>(before_panels.AtLeast(static_cast<size_t>(count * length))) : rows.data();
  ParallelBlocks(count, kLines, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kLines) {
      const int64_t last = std::min(first + kLines, end), n = last - first;
      QuantizeRows({const_cast<float*>(lines(first, last)), DType::kF32, n, length, length},
                   {to + first * length, DType::kI8, n, length, length}, scales.data() + first);
    }
  });
  if (HasVnni()) panels.SetValues(to, count, length);
}

void TrainingInt8Weight::Side::Multiply(const Matrix& q, const float* row_scales, const Matrix& y, bool accumulate) {
  const ScaledProduct product{q, row_scales, rows.data(), panels, scales.data(), y, accumulate};
  if (HasVnni()) return product.RunInVectors();
  product.RunInLoops();
}

void TrainingInt8Weight::RoundOutputs() {
  outputs_.Round(out_, in_, [&](int64_t begin, int64_t /*end*/) { return source_ + begin * in_; });
}

void TrainingInt8Weight::RoundInputs() {
  inputs_.Round(in_, out_, [&](int64_t begin, int64_t end) {
    thread_local Buffer columns;
    auto* const to = static_cast<float*>(columns.AtLeast(static_cast<size_t>(kLines * out_) * sizeof(float)));
    TransposeLines({const_cast<float*>(source_) + begin, DType::kF32, out_, end - begin, in_}, to);
    return static_cast<const float*>(to);
  });
}

void TrainingInt8Weight::RenewForward() {
  outputs_.rounded.Renew([this] { RoundOutputs(); });
}
void TrainingInt8Weight::RenewInputGradient() {
  inputs_.rounded.Renew([this] { RoundInputs(); });
}

void TrainingInt8Weight::Forward(const Matrix& q, const float* scales, const Matrix& y, bool accumulate) {
  FLASHLM_CHECK(q.dtype == DType::kI8 && q.cols == in_ && y.cols == out_ && q.rows == y.rows,
                "int8 product of [{},{}] with a weight [{},{}]", q.rows, q.cols, out_, in_);
  outputs_.rounded.Want([this] { RoundOutputs(); });
  outputs_.Multiply(q, scales, y, accumulate);
}

void TrainingInt8Weight::InputGradient(const Matrix& q, const float* scales, const Matrix& dx, bool accumulate) {
  FLASHLM_CHECK(q.dtype == DType::kI8 && q.cols == out_ && dx.cols == in_ && q.rows == dx.rows,
                "int8 gradient [{},{}] of a weight [{},{}]", q.rows, q.cols, out_, in_);
  inputs_.rounded.Want([this] { RoundInputs(); });
  inputs_.Multiply(q, scales, dx, accumulate);
}

void Int8WeightGradient(const Matrix& q, const float* scales, const Matrix& x, const Matrix& dw,
                        const Rounding& rounding_of_x) {
  FLASHLM_CHECK(q.dtype == DType::kI8 && q.rows == x.rows && q.cols == dw.rows && x.cols == dw.cols,
                "int8 gradient [{},{}] of [{},{}] and [{},{}]", dw.rows, dw.cols, q.rows, q.cols, x.rows, x.cols);
  constexpr int64_t kRowsAtATime = 4 * kTokensOfABlock;
  thread_local Buffer q_memory, x_memory;
  const auto bytes = [&](int64_t cols) {
    return static_cast<size_t>(TokenBlocks::Bytes(std::min(kRowsAtATime, q.rows), cols));
  };
  void *const of_q = q_memory.AtLeast(bytes(q.cols)), *const of_x = x_memory.AtLeast(bytes(x.cols));
  for (int64_t first = 0; first < q.rows; first += kRowsAtATime) {
    const int64_t rows = std::min(kRowsAtATime, q.rows - first);
    AddTokenProduct(TokenBlocks::Taken(q.Rows(first, rows), of_q),
                    TokenBlocks::Rounded(x.Rows(first, rows), scales + first, rounding_of_x, first, of_x), dw);
  }
}

}  // namespace flashlm::kernels
