#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/gemm/int8_training.h"
#include "kernels/simd.h"
#include "kernels/ternary/ternary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/token_blocks.cc"
#include "hwy/foreach_target.h"
#include "kernels/dropout/philox-inl.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

using VI = hn::Vec<DI>;

// Columns that are rounded together, four groups of 16: 128 tokens of them fit into the first-level cache.
constexpr int64_t kStrip = kDropoutGroup;

// What rounds a row of a strip: v times inverse, to integers.
class Rounder {
 public:
  // Columns from `column` on, a multiple of kStrip.
  Rounder(const Rounding& rounding, int64_t column) : rounding_(rounding), strip_(column / kStrip) {}

  void BeginRow(int64_t row) {
    if (!rounding_.stochastic) return;
    RandomGroup(rounding_.key, rounding_.step, row, strip_,
                [&](auto numbers, size_t i) { hn::StoreU(hn::BitCast(DI(), numbers), DI(), numbers_ + i); });
  }
  // Of columns i on of the strip. By chance: floor(65,536 v + number) / 65,536), in integers, so that every instruction
  // set gives the same.
  HWY_INLINE VI operator()(VF scaled, size_t i) const {
    const DI di;
    if (!rounding_.stochastic) return hn::ConvertTo(di, hn::Round(scaled));
    const VI fine = hn::ConvertTo(di, hn::Round(hn::Mul(scaled, hn::Set(DF(), 65536.0f))));
    const VI rounded = hn::ShiftRight<16>(hn::Add(fine, hn::LoadU(di, numbers_ + i)));
    return hn::Min(rounded, hn::Set(di, 127));
  }

 private:
  const Rounding& rounding_;
  int64_t strip_;
  HWY_ALIGN int32_t numbers_[kStrip];
};

// Largest magnitudes of the strip's columns. x points to its first element.
template <class T>
void StripMaxima(const T* x, int64_t stride, int64_t tokens, int64_t cols, float* maxima) {
  std::fill(maxima, maxima + kStrip, 0.0f);
  for (int64_t t = 0; t < tokens; ++t) {
    MapRow(
        cols, [](VF v, VF old) { return hn::Max(hn::Abs(v), old); }, maxima, x + t * stride, maxima);
  }
}

// Words of four tokens, from `rows`, integers of one byte in 32-bit lanes.
HWY_INLINE VI Word(const std::array<VI, 4>& rows) {
  const VI byte = hn::Set(DI(), 255);
  const VI low = hn::Or(hn::And(rows[0], byte), hn::ShiftLeft<8>(hn::And(rows[1], byte)));
  return hn::Or(low, hn::Or(hn::ShiftLeft<16>(hn::And(rows[2], byte)), hn::ShiftLeft<24>(rows[3])));
}

// A strip of a block; tokens beyond x.rows are zeros.
template <class T>
void RoundStrip(const Matrix& x, int64_t first_token, int64_t column, const Rounding& rounding, const TokenBlocks& to,
                int64_t block) {
  const DF d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  const int64_t tokens = std::min(kTokensOfABlock, x.rows), cols = std::min(kStrip, x.cols - column);
  const auto row = [&](int64_t t) { return x.Row<T>(t) + column; };
  HWY_ALIGN float maxima[kStrip];
  HWY_ALIGN float inverses[kStrip];
  HWY_ALIGN int32_t sums[kStrip] = {};
  StripMaxima(row(0), x.stride, tokens, cols, maxima);
  for (int64_t c = 0; c < kStrip; ++c) inverses[c] = maxima[c] > 0 ? 127.0f / maxima[c] : 0.0f;
  const VI offset = hn::Set(di, to.side() == TokenBlocks::Side::kOffset ? static_cast<int32_t>(0x80808080u) : 0);
  std::array<Rounder, 4> rounders{Rounder(rounding, column), Rounder(rounding, column), Rounder(rounding, column),
                                  Rounder(rounding, column)};
  const int64_t groups = std::min<int64_t>(kStrip / 16, to.groups() - column / 16);
  for (int64_t four = 0; four < kTokensOfABlock / 4; ++four) {
    for (int64_t k = 0; k < 4; ++k) rounders[static_cast<size_t>(k)].BeginRow(first_token + four * 4 + k);
    for (int64_t c = 0; c < groups * 16; c += static_cast<int64_t>(lanes)) {
      const VF inverse = hn::Load(d, inverses + c);
      std::array<VI, 4> integers{hn::Zero(di), hn::Zero(di), hn::Zero(di), hn::Zero(di)};
      VI sum = hn::Load(di, sums + c);
      for (size_t k = 0; k < 4; ++k) {
        const int64_t t = four * 4 + static_cast<int64_t>(k), left = cols - c;
        if (t >= tokens || left <= 0) continue;
        const VF v = left >= static_cast<int64_t>(lanes) ? LoadF32(d, row(t) + c)
                                                         : LoadPartial(d, row(t) + c, static_cast<size_t>(left));
        integers[k] = rounders[k](hn::Mul(v, inverse), static_cast<size_t>(c));
        sum = hn::Add(sum, integers[k]);
      }
      hn::Store(sum, di, sums + c);
      int8_t* words = to.words(block, (column + c) / 16) + four * 64 + c % 16 * 4;
      hn::StoreU(hn::Xor(Word(integers), offset), di, reinterpret_cast<int32_t*>(words));
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    float* scales = to.scales(block, column / 16 + g);
    for (int64_t c = 0; c < 16; ++c) scales[c] = maxima[g * 16 + c] / 127.0f;
    std::copy(sums + g * 16, sums + g * 16 + 16, to.sums(block, column / 16 + g));
  }
}

void RoundTokens(const Matrix& x, int64_t first, const Rounding& rounding, const TokenBlocks& to) {
  const int64_t strips = (x.cols + kStrip - 1) / kStrip, blocks = (x.rows + kTokensOfABlock - 1) / kTokensOfABlock;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelBlocks(strips * blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i / strips, token = block * kTokensOfABlock;
        const Matrix rows = x.Rows(token, std::min(kTokensOfABlock, x.rows - token));
        RoundStrip<T>(rows, first + token, i % strips * kStrip, rounding, to, first / kTokensOfABlock + block);
      }
    });
  });
}

template <class T>
float RoundRowByChance(const T* x, int64_t n, int64_t row, const Rounding& rounding, int8_t* q) {
  const DF d;
  VF largest = hn::Zero(d);
  ForLanes(static_cast<size_t>(n),
           [&](auto lanes, size_t i) { largest = hn::Max(largest, hn::Abs(lanes.Load(x + i))); });
  const float max = MaxLane(d, largest);
  const VF inverse = hn::Set(d, max > 0 ? 127.0f / max : 0.0f);
  for (int64_t column = 0; column < n; column += kStrip) {
    Rounder rounder(rounding, column);
    rounder.BeginRow(row);
    ForLanes(static_cast<size_t>(std::min(kStrip, n - column)), [&](auto lanes, size_t i) {
      const auto at = static_cast<size_t>(column) + i;
      lanes.Store(hn::ConvertTo(d, rounder(hn::Mul(lanes.Load(x + at), inverse), i)), q + at);
    });
  }
  return max / 127.0f;
}

void RoundRowsByChance(const Matrix& x, const Matrix& q, float* scales, const Rounding& rounding, int64_t first_row) {
  Dispatch(x.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      scales[r] = RoundRowByChance(x.Row<T>(r), x.cols, first_row + r, rounding, q.Row<int8_t>(r));
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {

HWY_EXPORT(RoundTokens);
HWY_EXPORT(RoundRowsByChance);

void RoundRows(const Matrix& x, const Matrix& q, float* scales, const Rounding& rounding, int64_t first_row) {
  FLASHLM_CHECK(q.dtype == DType::kI8 && q.rows == x.rows && q.cols == x.cols, "[{},{}] rounded to [{},{}]", x.rows,
                x.cols, q.rows, q.cols);
  if (!rounding.stochastic) return QuantizeRows(x, q, scales);
  FLASHLM_DISPATCH(RoundRowsByChance)(x, q, scales, rounding, first_row);
}

int64_t TokenBlocks::Bytes(int64_t rows, int64_t cols) {
  const int64_t groups = (rows + kTokensOfABlock - 1) / kTokensOfABlock * ((cols + 15) / 16);
  return groups * 16 * (kTokensOfABlock + static_cast<int64_t>(sizeof(float) + sizeof(int32_t)));
}

TokenBlocks::TokenBlocks(int64_t rows, int64_t cols, Side side, void* memory)
    : rows_(rows), cols_(cols), side_(side), words_(static_cast<int8_t*>(memory)) {
  const int64_t columns = blocks() * groups() * 16;
  scales_ = reinterpret_cast<float*>(words_ + columns * kTokensOfABlock);
  sums_ = reinterpret_cast<int32_t*>(scales_ + columns);
}

void TokenBlocks::Round(const Matrix& x, int64_t first, const Rounding& rounding) const {
  FLASHLM_CHECK(x.cols == cols_ && first % kTokensOfABlock == 0 && first + x.rows <= rows_ &&
                    (x.rows % kTokensOfABlock == 0 || first + x.rows == rows_),
                "tokens [{}, {}) of {} in blocks of {}", first, first + x.rows, rows_, kTokensOfABlock);
  FLASHLM_DISPATCH(RoundTokens)(x, first, rounding, *this);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
