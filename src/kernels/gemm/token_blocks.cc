#include "kernels/gemm/token_blocks.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/parallel.h"
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
using VU = hn::Vec<DU>;

// Columns that are rounded together, four groups of 16.
constexpr int64_t kStrip = kDropoutGroup;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(DF()));

// Rounds the columns of a strip to the nearest integers (NearestInteger).
struct ToNearest {
  void Seek(int64_t /*row*/, int64_t /*strip*/) {}
  HWY_INLINE VU operator()(VF v, VF inverse, int64_t /*column*/) const { return NearestInteger(v, inverse); }
};

// Strips of a row that share a draw: moved by quarters of their range from strip to strip, its numbers are as evenly
// spread in each, and drawing takes three times as long as rounding.
constexpr int64_t kStripsOfADraw = 4;

// By chance: floor((65,536 v inverse + number) / 65,536), in integers, so that every instruction set gives the same.
class ByChance {
 public:
  explicit ByChance(const Rounding& rounding) : rounding_(rounding) {}

  // Numbers are those of this row and strip from here on.
  void Seek(int64_t row, int64_t strip) {
    move_ = static_cast<uint32_t>(strip % kStripsOfADraw) * (65536 / kStripsOfADraw);
    const int64_t group = strip / kStripsOfADraw;
    if (row == row_ && group == group_) return;
    row_ = row;
    group_ = group;
    RandomGroup(rounding_.key, rounding_.step, row, group,
                [&](auto numbers, size_t i) { hn::StoreU(numbers, DU(), numbers_ + i); });
  }
  // Of columns from `column` of the strip on.
  HWY_INLINE VI Integer(VF v, VF inverse, int64_t column) const {
    const DI di;
    const DU du;
    const VI fine = hn::NearestInt(hn::Mul(hn::Mul(v, inverse), hn::Set(DF(), 65536.0f)));
    const VU moved = hn::And(hn::Add(hn::Load(du, numbers_ + column), hn::Set(du, move_)), hn::Set(du, 0xffffu));
    return hn::Min(hn::ShiftRight<16>(hn::Add(fine, hn::BitCast(di, moved))), hn::Set(di, 127));
  }
  HWY_INLINE VU operator()(VF v, VF inverse, int64_t column) const {
    return hn::Add(hn::BitCast(DU(), Integer(v, inverse, column)), hn::Set(DU(), kIntegerZero));
  }

 private:
  const Rounding& rounding_;
  int64_t row_ = -1, group_ = -1;
  uint32_t move_ = 0;
  HWY_ALIGN uint32_t numbers_[kStrip];
};

// The columns of a strip of a matrix, whole rows of kStrip: what the matrix does not have is zero.
template <class T>
class Strip {
 public:
  Strip(const Matrix& x, int64_t column) : x_(x), column_(column), cols_(std::min(kStrip, x.cols - column)) {}

  // Tokens [first, first + 4), until it is called again.
  std::array<const T*, 4> Rows(int64_t first) {
    std::array<const T*, 4> rows;
    for (int64_t k = 0; k < 4; ++k) {
      T* const filled = filled_ + k * kStrip;
      rows[static_cast<size_t>(k)] = filled;
      if (first + k >= x_.rows) {
        std::fill_n(filled, kStrip, T());
      } else if (cols_ < kStrip) {
        std::fill_n(std::copy_n(Row(first + k), cols_, filled), kStrip - cols_, T());
      } else {
        rows[static_cast<size_t>(k)] = Row(first + k);
      }
    }
    return rows;
  }

 private:
  const T* Row(int64_t t) const { return x_.Row<T>(t) + column_; }

  const Matrix& x_;
  int64_t column_, cols_;
  HWY_ALIGN T filled_[4 * kStrip];
};

// Columns of a block whose magnitudes are looked at together: their rows are stretches of memory that a CPU fetches
// ahead, where those of a strip are not.
constexpr int64_t kStretch = 8 * kStrip;

// Largest magnitudes of columns [column, column + kStretch) of x, row t times factors[t]; zeros beyond its last column.
template <class T>
void ColumnMaxima(const Matrix& x, const float* factors, int64_t column, float* maxima) {
  const DF d;
  std::fill_n(maxima, kStretch, 0.0f);
  const int64_t cols = std::min(kStretch, x.cols - column);
  const auto row = [&](int64_t t) { return x.Row<T>(t) + column; };
  const auto factor = [&](int64_t t) { return hn::Set(d, factors[t]); };
  int64_t t = 0;
  for (; t + 4 <= x.rows; t += 4) {
    const VF fa = factor(t), fb = factor(t + 1), fc = factor(t + 2), fe = factor(t + 3);
    const auto largest = [=](VF old, VF a, VF b, VF c, VF e) {
      const auto size = [](VF v, VF by) { return hn::Abs(hn::Mul(v, by)); };
      return hn::Max(hn::Max(hn::Max(old, size(a, fa)), size(b, fb)), hn::Max(size(c, fc), size(e, fe)));
    };
    MapRow(cols, largest, maxima, maxima, row(t), row(t + 1), row(t + 2), row(t + 3));
  }
  for (; t < x.rows; ++t) {
    const VF by = factor(t);
    MapRow(
        cols, [=](VF old, VF v) { return hn::Max(old, hn::Abs(hn::Mul(v, by))); }, maxima, maxima, row(t));
  }
}

// A strip of a block, from `column` on, whose columns' largest magnitudes are maxima [kStrip]. Of words only those of
// the groups that `to` has are written. Rows are `first_row` and those after it, for what chance decides.
template <class T, class Rounder>
void RoundStrip(const Matrix& x, const float* factors, int64_t first_row, int64_t column, const float* maxima,
                const Rounder& rounder, const TokenBlocks& to, int64_t block) {
  const DF d;
  const DU du;
  std::array<Rounder, 4> rounders{rounder, rounder, rounder, rounder};
  Strip<T> strip(x, column);
  HWY_ALIGN float inverses[kStrip];
  HWY_ALIGN uint32_t sums[kStrip] = {};
  for (int64_t c = 0; c < kStrip; ++c) inverses[c] = InverseScale(maxima[c]);
  // Four bytes q + 128 beside each other: the sum of kIntegerZero + q, moved by their places, has what is beyond the
  // byte of each in it.
  constexpr uint32_t kOffsets = 0x80808080;
  const VU to_offsets = hn::Set(du, kOffsets - (kIntegerZero + (kIntegerZero << 8)));
  const VU offsets = hn::Set(du, kOffsets);
  const int64_t groups = std::min<int64_t>(kStrip / 16, to.groups() - column / 16);
  for (int64_t four = 0; four < kTokensOfABlock / 4; ++four) {
    const std::array<const T*, 4> rows = strip.Rows(four * 4);
    VF by[4];
    for (size_t k = 0; k < 4; ++k) {
      const int64_t token = four * 4 + static_cast<int64_t>(k);
      rounders[k].Seek(first_row + token, column / kStrip);
      by[k] = hn::Set(d, factors[token]);
    }
    for (int64_t c = 0; c < groups * 16; c += kLanes) {
      const VF inverse = hn::Load(d, inverses + c);
      const auto integer = [&](size_t k) { return rounders[k](hn::Mul(LoadF32(d, rows[k] + c), by[k]), inverse, c); };
      const VU q0 = integer(0), q1 = integer(1), q2 = integer(2), q3 = integer(3);
      const VU low = hn::Add(hn::Add(q0, to_offsets), hn::ShiftLeft<8>(q1));
      const VU words = hn::Add(low, hn::Add(hn::ShiftLeft<16>(q2), hn::ShiftLeft<24>(q3)));
      int8_t* const place = to.words(block, (column + c) / 16) + four * 64 + c % 16 * 4;
      hn::StoreU(hn::Xor(words, offsets), du, reinterpret_cast<uint32_t*>(place));
      hn::Store(hn::Add(hn::Load(du, sums + c), hn::Add(hn::Add(q0, q1), hn::Add(q2, q3))), du, sums + c);
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    float* scales = to.scales(block, column / 16 + g);
    int32_t* of_columns = to.sums(block, column / 16 + g);
    for (int64_t c = 0; c < 16; ++c) {
      scales[c] = maxima[g * 16 + c] / 127.0f;
      of_columns[c] = static_cast<int32_t>(sums[g * 16 + c] - static_cast<uint32_t>(kTokensOfABlock) * kIntegerZero);
    }
  }
}

void RoundTokens(const Matrix& x, const float* factors, const Rounding& rounding, int64_t first_row,
                 const TokenBlocks& to) {
  const int64_t stretches = (x.cols + kStretch - 1) / kStretch;
  Dispatch(x.dtype, [&]<class T>() {
    ParallelFor(stretches * to.blocks(), [&](int64_t i) {
      const int64_t block = i / stretches, token = block * kTokensOfABlock, begin = i % stretches * kStretch;
      const Matrix rows = x.Rows(token, std::min(kTokensOfABlock, x.rows - token));
      float of_block[kTokensOfABlock] = {};
      std::copy_n(factors + token, rows.rows, of_block);
      HWY_ALIGN float maxima[kStretch];
      ColumnMaxima<T>(rows, of_block, begin, maxima);
      for (int64_t column = begin; column < std::min(begin + kStretch, x.cols); column += kStrip) {
        const auto round = [&](const auto& rounder) {
          RoundStrip<T>(rows, of_block, first_row + token, column, maxima + column - begin, rounder, to, block);
        };
        if (rounding.stochastic) {
          round(ByChance(rounding));
        } else {
          round(ToNearest());
        }
      }
    });
  });
}

template <class T>
float RoundRowByChance(const T* x, int64_t n, int64_t row, const Rounding& rounding, int8_t* q) {
  const DF d;
  const hn::Rebind<int8_t, DF> d8;
  const float max = LargestMagnitude(x, static_cast<size_t>(n));
  const VF inverse = hn::Set(d, InverseScale(max));
  ByChance rounder(rounding);
  for (int64_t column = 0; column < n; column += kStrip) {
    rounder.Seek(row, column / kStrip);
    const auto integers = [&](VF v, size_t i) {
      return hn::DemoteTo(d8, rounder.Integer(v, inverse, static_cast<int64_t>(i)));
    };
    ForVectors(
        static_cast<size_t>(std::min(kStrip, n - column)),
        [&](size_t i) { hn::StoreU(integers(LoadF32(d, x + column + i), i), d8, q + column + i); },
        [&](size_t i, size_t count) {
          HWY_ALIGN int8_t last[HWY_MAX_BYTES / 4];
          hn::StoreU(integers(LoadPartial(d, x + column + i, count), i), d8, last);
          std::copy_n(last, count, q + column + i);
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

// The words of columns [column, column + 16) of four rows of integers, plus 128.
HWY_INLINE void StoreOffsetWords(const std::array<const int8_t*, 4>& rows, int64_t column, int8_t* words) {
  constexpr int8_t kOffset = -128;  // of bytes adding and flipping it are the same
#if HWY_TARGET == HWY_SCALAR
  for (size_t c = 0; c < 16; ++c) {
    for (size_t k = 0; k < 4; ++k)
      words[4 * c + k] = static_cast<int8_t>(rows[k][static_cast<size_t>(column) + c] ^ kOffset);
  }
#else
  const hn::CappedTag<int8_t, 16> d8;
  const hn::Repartition<int16_t, decltype(d8)> d16;
  const auto offset = hn::Set(d8, kOffset);
  const auto row = [&](size_t k) { return hn::Xor(hn::LoadU(d8, rows[k] + column), offset); };
  const auto lower = [&](auto a, auto b) { return hn::BitCast(d16, hn::InterleaveLower(d8, a, b)); };
  const auto upper = [&](auto a, auto b) { return hn::BitCast(d16, hn::InterleaveUpper(d8, a, b)); };
  const auto r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
  const auto low01 = lower(r0, r1), low23 = lower(r2, r3), high01 = upper(r0, r1), high23 = upper(r2, r3);
  const auto store = [&](auto pairs, int8_t* to) { hn::StoreU(hn::BitCast(d8, pairs), d8, to); };
  store(hn::InterleaveLower(d16, low01, low23), words);
  store(hn::InterleaveUpper(d16, low01, low23), words + 16);
  store(hn::InterleaveLower(d16, high01, high23), words + 32);
  store(hn::InterleaveUpper(d16, high01, high23), words + 48);
#endif
}

void TakeTokens(const Matrix& q, const TokenBlocks& to) {
  const int64_t strips = (q.cols + kStrip - 1) / kStrip;
  ParallelFor(strips * to.blocks(), [&](int64_t i) {
    const int64_t block = i / strips, token = block * kTokensOfABlock, column = i % strips * kStrip;
    const int64_t group = column / 16, groups = std::min<int64_t>(kStrip / 16, to.groups() - group);
    const Matrix of_block = q.Rows(token, std::min(kTokensOfABlock, q.rows - token));
    Strip<int8_t> strip(of_block, column);
    for (int64_t four = 0; four < kTokensOfABlock / 4; ++four) {
      const std::array<const int8_t*, 4> rows = strip.Rows(four * 4);
      for (int64_t g = 0; g < groups; ++g) StoreOffsetWords(rows, 16 * g, to.words(block, group + g) + 64 * four);
    }
    std::fill_n(to.scales(block, group), groups * 16, 1.0f);
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {

HWY_EXPORT(RoundTokens);
HWY_EXPORT(RoundRowsByChance);
HWY_EXPORT(TakeTokens);

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

TokenBlocks::TokenBlocks(int64_t rows, int64_t cols, void* memory)
    : rows_(rows), cols_(cols), words_(static_cast<int8_t*>(memory)) {
  const int64_t columns = blocks() * groups() * 16;
  scales_ = reinterpret_cast<float*>(words_ + columns * kTokensOfABlock);
  sums_ = reinterpret_cast<int32_t*>(scales_ + columns);
}

TokenBlocks TokenBlocks::Rounded(const Matrix& x, const float* factors, const Rounding& rounding, int64_t first_row,
                                 void* memory) {
  const TokenBlocks blocks(x.rows, x.cols, memory);
  FLASHLM_DISPATCH(RoundTokens)(x, factors, rounding, first_row, blocks);
  return blocks;
}

TokenBlocks TokenBlocks::Taken(const Matrix& q, void* memory) {
  FLASHLM_CHECK(q.dtype == DType::kI8, "tokens of {}, not of int8", NameOf(q.dtype));
  const TokenBlocks blocks(q.rows, q.cols, memory);
  FLASHLM_DISPATCH(TakeTokens)(q, blocks);
  return blocks;
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
