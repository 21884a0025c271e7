// The products of a training step in int8 against their definition, bit for bit on every instruction set.
#include "kernels/gemm/int8_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/dropout/ref.h"

namespace flashlm::kernels {
namespace {

using Numbers = std::vector<float>;

Numbers RandomNumbers(int64_t n, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  Numbers numbers(static_cast<size_t>(n));
  for (float& v : numbers) v = rng.Normal();
  return numbers;
}

Matrix MatrixOf(Numbers& numbers, int64_t rows, int64_t cols) {
  return {numbers.data(), DType::kF32, rows, cols, cols};
}

// n numbers, `apart` from each other, rounded as one line; returns the scale.
float RoundLine(const float* x, int64_t n, int64_t apart, std::vector<int>& q) {
  float max = 0;
  for (int64_t i = 0; i < n; ++i) max = std::max(max, std::abs(x[i * apart]));
  const float inverse = max > 0 ? 127.0f / max : 0.0f;
  q.clear();
  for (int64_t i = 0; i < n; ++i) q.push_back(static_cast<int>(std::nearbyint(x[i * apart] * inverse)));
  return max / 127.0f;
}

float Product(const std::vector<int>& a, const std::vector<int>& b, float a_scale, float b_scale, float old) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += int64_t{a[i]} * b[i];
  return std::fma(static_cast<float>(sum) * a_scale, b_scale, old);
}

struct Shape {
  int64_t rows, out, in;
};
constexpr Shape kShapes[] = {{1, 5, 3}, {7, 33, 16}, {128, 64, 40}, {130, 70, 257}, {300, 16, 64}};

struct RoundedRows {
  std::vector<int8_t> q;
  Numbers scales;

  RoundedRows(const Matrix& x, const Rounding& rounding = {}, int64_t first_row = 0)
      : q(static_cast<size_t>(x.rows * x.cols)), scales(static_cast<size_t>(x.rows)) {
    RoundRows(x, {q.data(), DType::kI8, x.rows, x.cols, x.cols}, scales.data(), rounding, first_row);
  }
};

TEST(Int8Training, ForwardAndInputGradientAreTheirDefinition) {
  for (const auto& [rows, out, in] : kShapes) {
    Numbers w = RandomNumbers(out * in, 1), x = RandomNumbers(rows * in, 2), dy = RandomNumbers(rows * out, 3);
    TrainingInt8Weight weight;
    weight.SetValues(w.data(), out, in);
    const RoundedRows of_x(MatrixOf(x, rows, in)), of_dy(MatrixOf(dy, rows, out));
    for (const bool accumulate : {false, true}) {
      Numbers y(static_cast<size_t>(rows * out), 0.7f), dx(static_cast<size_t>(rows * in), 0.3f);
      weight.Forward({const_cast<int8_t*>(of_x.q.data()), DType::kI8, rows, in, in}, of_x.scales.data(),
                     MatrixOf(y, rows, out), accumulate);
      weight.InputGradient({const_cast<int8_t*>(of_dy.q.data()), DType::kI8, rows, out, out}, of_dy.scales.data(),
                           MatrixOf(dx, rows, in), accumulate);
      std::vector<int> left, right;
      for (int64_t r = 0; r < rows; ++r) {
        const float x_scale = RoundLine(&x[static_cast<size_t>(r * in)], in, 1, left);
        for (int64_t o = 0; o < out; ++o) {
          const float scale = RoundLine(&w[static_cast<size_t>(o * in)], in, 1, right);
          ASSERT_EQ(y[static_cast<size_t>(r * out + o)], Product(left, right, x_scale, scale, accumulate ? 0.7f : 0))
              << rows << "x" << in << "x" << out << " at " << r << ", " << o;
        }
        const float dy_scale = RoundLine(&dy[static_cast<size_t>(r * out)], out, 1, left);
        for (int64_t i = 0; i < in; ++i) {
          const float scale = RoundLine(&w[static_cast<size_t>(i)], out, in, right);
          ASSERT_EQ(dx[static_cast<size_t>(r * in + i)], Product(left, right, dy_scale, scale, accumulate ? 0.3f : 0))
              << rows << "x" << in << "x" << out << " at " << r << ", " << i;
        }
      }
    }
  }
}

// dw = the sum over tokens of q times their scales times x, rounded by columns of a block of tokens.
TEST(Int8Training, WeightGradientIsItsDefinition) {
  for (const auto& [rows, out, in] : kShapes) {
    Numbers x = RandomNumbers(rows * in, 2), dy = RandomNumbers(rows * out, 3), dw(static_cast<size_t>(out * in), 0.5f);
    const RoundedRows of_dy(MatrixOf(dy, rows, out));
    const Matrix q{const_cast<int8_t*>(of_dy.q.data()), DType::kI8, rows, out, out};
    Int8WeightGradient(q, of_dy.scales.data(), MatrixOf(x, rows, in), MatrixOf(dw, out, in));
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = 0; i < in; ++i) x[static_cast<size_t>(t * in + i)] *= of_dy.scales[static_cast<size_t>(t)];
    }
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        float expected = 0.5f;
        for (int64_t begin = 0; begin < rows; begin += kTokensOfABlock) {
          const int64_t tokens = std::min(kTokensOfABlock, rows - begin);
          std::vector<int> integers, rounded;
          for (int64_t t = begin; t < begin + tokens; ++t) integers.push_back(q.Row<int8_t>(t)[o]);
          const float scale = RoundLine(&x[static_cast<size_t>(begin * in + i)], tokens, in, rounded);
          expected = Product(integers, rounded, 1.0f, scale, expected);
        }
        ASSERT_EQ(dw[static_cast<size_t>(o * in + i)], expected)
            << rows << "x" << in << "x" << out << " at " << o << ", " << i;
      }
    }
  }
}

TEST(Int8Training, BFloat16OperandsAndResults) {
  constexpr int64_t kRows = 140, kOut = 24, kIn = 72;
  Numbers w = RandomNumbers(kOut * kIn, 1), x = RandomNumbers(kRows * kIn, 2), y(kRows * kOut), dw(kOut * kIn);
  std::vector<BFloat16> narrow, narrow_y(kRows * kOut), dy;
  for (float& v : x) {
    narrow.push_back(ToBFloat16(v));
    v = ToFloat(narrow.back());
  }
  TrainingInt8Weight weight;
  weight.SetValues(w.data(), kOut, kIn);
  const Matrix wide_x = MatrixOf(x, kRows, kIn), narrow_x{narrow.data(), DType::kBF16, kRows, kIn, kIn};
  const RoundedRows wide(wide_x), rounded(narrow_x);
  EXPECT_EQ(wide.q, rounded.q);
  EXPECT_EQ(wide.scales, rounded.scales);
  const Matrix q{const_cast<int8_t*>(rounded.q.data()), DType::kI8, kRows, kIn, kIn};
  weight.Forward(q, rounded.scales.data(), MatrixOf(y, kRows, kOut), false);
  weight.Forward(q, rounded.scales.data(), {narrow_y.data(), DType::kBF16, kRows, kOut, kOut}, false);
  for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(narrow_y[i].bits, ToBFloat16(y[i]).bits) << i;
  const Numbers first = y;
  weight.Forward(q, rounded.scales.data(), {narrow_y.data(), DType::kBF16, kRows, kOut, kOut}, true);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(ToFloat(narrow_y[i]), 2 * first[i], 0.02 * std::abs(first[i]) + 1e-3) << i;
  }
  Numbers from_narrow(dw.size());
  const RoundedRows of_y(MatrixOf(y, kRows, kOut));
  const Matrix gradient{const_cast<int8_t*>(of_y.q.data()), DType::kI8, kRows, kOut, kOut};
  Int8WeightGradient(gradient, of_y.scales.data(), wide_x, MatrixOf(dw, kOut, kIn));
  Int8WeightGradient(gradient, of_y.scales.data(), narrow_x, MatrixOf(from_narrow, kOut, kIn));
  EXPECT_EQ(dw, from_narrow);
}

TEST(Int8Training, ChanceRoundsWithoutBias) {
  constexpr int64_t kRows = 3, kCols = 300;  // of two draws for a row
  constexpr int kDraws = 4000;
  Numbers x = RandomNumbers(kRows * kCols, 4);
  const Matrix matrix = MatrixOf(x, kRows, kCols);
  std::vector<double> sums(x.size());
  for (int draw = 0; draw < kDraws; ++draw) {
    const RoundedRows rounded(matrix, {true, {1, 2}, static_cast<uint64_t>(draw)});
    for (size_t i = 0; i < x.size(); ++i) sums[i] += rounded.q[i] * rounded.scales[i / kCols];
  }
  for (size_t i = 0; i < x.size(); ++i) {
    // A draw is off by at most one integer, with a deviation of at most half of it.
    const double integer = RoundedRows(matrix).scales[i / kCols];
    EXPECT_NEAR(sums[i] / kDraws, x[i], 5 * 0.5 * integer / std::sqrt(kDraws)) << i;
  }
}

TEST(Int8Training, WhatChanceDecidesDependsOnKeyStepRowAndColumnAlone) {
  Numbers x = RandomNumbers(6 * 200, 5);
  const Matrix all = MatrixOf(x, 6, 200);
  const Rounding rounding{true, {1, 2}, 3};
  const RoundedRows whole(all, rounding), rest(all.Rows(2, 4), rounding, 2);
  EXPECT_TRUE(std::equal(rest.q.begin(), rest.q.end(), whole.q.begin() + 2 * 200));
  EXPECT_NE(whole.q, RoundedRows(all, {true, {1, 2}, 4}).q);
  EXPECT_NE(whole.q, RoundedRows(all, {true, {2, 2}, 3}).q);
  EXPECT_NE(whole.q, RoundedRows(all, rounding, 1).q);
}

// Column c of a row of 256 reads the number of column c mod 64 of the row's group, moved by quarters of the range.
TEST(Int8Training, ChanceIsItsDefinition) {
  constexpr int64_t kRows = 2, kCols = 397, kFirstRow = 5;
  Numbers x = RandomNumbers(kRows * kCols, 7);
  const Rounding rounding{true, {1, 2}, 3};
  const RoundedRows rounded(MatrixOf(x, kRows, kCols), rounding, kFirstRow);
  for (int64_t r = 0; r < kRows; ++r) {
    std::vector<int> nearest;
    const float* const row = &x[static_cast<size_t>(r * kCols)];
    RoundLine(row, kCols, 1, nearest);
    const float largest =
        std::abs(*std::max_element(row, row + kCols, [](float a, float b) { return std::abs(a) < std::abs(b); }));
    for (int64_t c = 0; c < kCols; ++c) {
      const uint32_t drawn = DropoutNumber({rounding.key, rounding.step}, kFirstRow + r, c / 256 * 64 + c % 64);
      const auto number = static_cast<int64_t>((drawn + c / 64 % 4 * 16384) % 65536);
      const auto fine = static_cast<int64_t>(std::nearbyint(row[c] * (127.0f / largest) * 65536.0f));
      const auto floor = static_cast<int>(std::floor(static_cast<double>(fine + number) / 65536));
      ASSERT_EQ(rounded.q[static_cast<size_t>(r * kCols + c)], std::min(floor, 127)) << r << ", " << c;
    }
  }
}

TEST(Int8Training, TokensAreRoundedAndTakenPieceByPieceAsAtOnce) {
  constexpr int64_t kTokens = 300, kCols = 50;
  Numbers x = RandomNumbers(kTokens * kCols, 6);
  const Matrix all = MatrixOf(x, kTokens, kCols);
  const RoundedRows rows(all);
  const Matrix integers{const_cast<int8_t*>(rows.q.data()), DType::kI8, kTokens, kCols, kCols};
  const auto bytes = static_cast<size_t>(TokenBlocks::Bytes(kTokens, kCols));
  std::vector<char> at_once(bytes + 64), in_pieces(bytes + 64);
  const auto blocks = [&](std::vector<char>& memory, TokenBlocks::Side side = TokenBlocks::Side::kOffset) {
    return TokenBlocks(kTokens, kCols, side, memory.data());
  };
  const Rounding rounding{true, {1, 2}, 3};
  blocks(at_once).Round(all, 0, rounding, rows.scales.data());
  blocks(in_pieces).Round(all.Rows(0, 128), 0, rounding, rows.scales.data());
  blocks(in_pieces).Round(all.Rows(128, 172), 128, rounding, rows.scales.data() + 128);
  EXPECT_EQ(at_once, in_pieces);
  blocks(at_once).Take(integers, 0);
  EXPECT_NE(at_once, in_pieces);
  blocks(in_pieces).Take(integers.Rows(0, 128), 0);
  blocks(in_pieces).Take(integers.Rows(128, 172), 128);
  EXPECT_EQ(at_once, in_pieces);
  EXPECT_THROW(blocks(in_pieces).Round(all.Rows(0, 100), 0, rounding), Error);
  EXPECT_THROW(blocks(in_pieces).Take(integers.Rows(0, 100), 0), Error);
  EXPECT_THROW(blocks(in_pieces).Take(all, 0), Error);
  EXPECT_THROW(blocks(in_pieces, TokenBlocks::Side::kSigned).Take(integers, 0), Error);
}

}  // namespace
}  // namespace flashlm::kernels
