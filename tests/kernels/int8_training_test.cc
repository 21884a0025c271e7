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

// Column c of each 256 reads the number of column c mod 64 of one draw, moved by quarters of the range.
int ByChance(float v, float largest, const Rounding& rounding, int64_t row, int64_t column) {
  const uint32_t drawn = DropoutNumber({rounding.key, rounding.step}, row, column / 256 * 64 + column % 64);
  const auto number = static_cast<int64_t>((drawn + column / 64 % 4 * 16384) % 65536);
  const auto fine = static_cast<int64_t>(std::nearbyint(v * (127.0f / largest) * 65536.0f));
  return std::min(static_cast<int>(std::floor(static_cast<double>(fine + number) / 65536)), 127);
}

float Product(const std::vector<int>& a, const std::vector<int>& b, float a_scale, float b_scale, float old) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += int64_t{a[i]} * b[i];
  return std::fma(static_cast<float>(sum) * a_scale, b_scale, old);
}

struct Shape {
  int64_t rows, out, in;
};
// The last has more rows than a gradient of weights takes at a time.
constexpr Shape kShapes[] = {{1, 5, 3}, {7, 33, 16}, {128, 64, 40}, {130, 70, 257}, {300, 16, 64}, {700, 9, 20}};

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

// n numbers, `apart` from each other, of one column of a block of tokens, rounded by chance.
float RoundLineByChance(const float* x, int64_t n, int64_t apart, const Rounding& rounding, int64_t first_row,
                        int64_t column, std::vector<int>& q) {
  float max = 0;
  for (int64_t i = 0; i < n; ++i) max = std::max(max, std::abs(x[i * apart]));
  q.clear();
  for (int64_t i = 0; i < n; ++i) q.push_back(ByChance(x[i * apart], max, rounding, first_row + i, column));
  return max / 127.0f;
}

// dw = the sum over tokens of q times their scales times x, rounded by columns of a block of tokens.
TEST(Int8Training, WeightGradientIsItsDefinition) {
  for (const auto& [rows, out, in] : kShapes) {
    for (const bool stochastic : {false, true}) {
      const Rounding rounding{stochastic, {1, 2}, 3};
      Numbers x = RandomNumbers(rows * in, 2), dy = RandomNumbers(rows * out, 3);
      Numbers dw(static_cast<size_t>(out * in), 0.5f);
      const RoundedRows of_dy(MatrixOf(dy, rows, out));
      const Matrix q{const_cast<int8_t*>(of_dy.q.data()), DType::kI8, rows, out, out};
      Int8WeightGradient(q, of_dy.scales.data(), MatrixOf(x, rows, in), MatrixOf(dw, out, in), rounding);
      for (int64_t t = 0; t < rows; ++t) {
        for (int64_t i = 0; i < in; ++i) x[static_cast<size_t>(t * in + i)] *= of_dy.scales[static_cast<size_t>(t)];
      }
      Numbers expected(dw.size(), 0.5f);
      for (int64_t begin = 0; begin < rows; begin += kTokensOfABlock) {
        const int64_t tokens = std::min(kTokensOfABlock, rows - begin);
        for (int64_t i = 0; i < in; ++i) {
          std::vector<int> rounded;
          const float* const column = &x[static_cast<size_t>(begin * in + i)];
          const float scale = stochastic ? RoundLineByChance(column, tokens, in, rounding, begin, i, rounded)
                                         : RoundLine(column, tokens, in, rounded);
          for (int64_t o = 0; o < out; ++o) {
            std::vector<int> integers;
            for (int64_t t = begin; t < begin + tokens; ++t) integers.push_back(q.Row<int8_t>(t)[o]);
            float& to = expected[static_cast<size_t>(o * in + i)];
            to = Product(integers, rounded, 1.0f, scale, to);
          }
        }
      }
      for (size_t i = 0; i < dw.size(); ++i) {
        ASSERT_EQ(dw[i], expected[i]) << rows << "x" << in << "x" << out << " at " << i
                                      << (stochastic ? " by chance" : "");
      }
    }
  }
}

TEST(Int8Training, WeightGradientsOfOtherShapesAreRefused) {
  Numbers x(6 * 4), dw(5 * 4), scales(6);
  std::vector<int8_t> q(6 * 5);
  const Matrix integers{q.data(), DType::kI8, 6, 5, 5}, to = MatrixOf(dw, 5, 4);
  EXPECT_THROW(Int8WeightGradient(integers, scales.data(), MatrixOf(x, 5, 4), to), Error);
  EXPECT_THROW(Int8WeightGradient(integers.Rows(0, 5), scales.data(), MatrixOf(x, 6, 4), to), Error);
  EXPECT_THROW(Int8WeightGradient(integers, scales.data(), MatrixOf(x, 6, 4), MatrixOf(dw, 4, 4)), Error);
  EXPECT_THROW(Int8WeightGradient(MatrixOf(x, 6, 4), scales.data(), MatrixOf(x, 6, 4), MatrixOf(dw, 4, 4)), Error);
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

TEST(Int8Training, ChanceIsItsDefinition) {
  constexpr int64_t kRows = 2, kCols = 397, kFirstRow = 5;
  Numbers x = RandomNumbers(kRows * kCols, 7);
  const Rounding rounding{true, {1, 2}, 3};
  const RoundedRows rounded(MatrixOf(x, kRows, kCols), rounding, kFirstRow);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto row = x.begin() + r * kCols;
    float largest = 0;
    for (int64_t c = 0; c < kCols; ++c) largest = std::max(largest, std::abs(row[c]));
    for (int64_t c = 0; c < kCols; ++c) {
      ASSERT_EQ(rounded.q[static_cast<size_t>(r * kCols + c)], ByChance(row[c], largest, rounding, kFirstRow + r, c))
          << r << ", " << c;
    }
  }
}

}  // namespace
}  // namespace flashlm::kernels
