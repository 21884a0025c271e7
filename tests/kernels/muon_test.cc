#include "kernels/optimizer/muon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/vector/vector.h"
#include "tests/kernels/normals.h"

namespace flashlm::kernels {
namespace {

template <class T>
std::vector<T> As(const std::vector<float>& x) {
  std::vector<T> y;
  for (float v : x) y.push_back(FromFloat<T>(v));
  return y;
}

// The same bits as the four passes that it stands for.
TEST(MuonKernels, MomentumIsTheSumOfItsParts) {
  for (int64_t n : {1, 15, 33, 20000}) {
    std::vector<float> gradient = Normals(n, 1), moment = Normals(n, 2), update(gradient.size());
    std::vector<float> wanted_moment = moment, wanted_update = gradient;
    Axpby(1, gradient.data(), 0.95f, wanted_moment.data(), n);
    Axpby(0.95f, wanted_moment.data(), 1, wanted_update.data(), n);
    NesterovMomentum(0.95f, 1, n, gradient.data(), moment.data(), update.data());
    EXPECT_EQ(moment, wanted_moment) << n;
    EXPECT_EQ(update, wanted_update) << n;
    EXPECT_EQ(gradient, std::vector<float>(gradient.size()));
  }
}

template <class T>
void ExpectPolynomial(int n, DType type, float tolerance) {
  std::vector<T> gram = As<T>(Normals(n * n, 3)), square = As<T>(Normals(n * n, 4));
  const std::vector<T> before = square;
  QuinticPolynomial(3.5f, -1.25f, 0.75f, {gram.data(), type, n, n, n}, {square.data(), type, n, n, n});
  for (int r = 0; r < n; ++r) {
    for (int c = 0; c < n; ++c) {
      const auto i = static_cast<size_t>(r * n + c);
      const float wanted = (r == c ? 3.5f : 0) - 1.25f * ToFloat(gram[i]) + 0.75f * ToFloat(before[i]);
      ASSERT_NEAR(ToFloat(square[i]), wanted, tolerance * (1 + std::abs(wanted))) << n << ": " << r << "," << c;
    }
  }
}

TEST(MuonKernels, ThePolynomialHasItsUnitMatrix) {
  for (int n : {1, 7, 16, 45}) {
    ExpectPolynomial<float>(n, DType::kF32, 1e-6f);
    ExpectPolynomial<BFloat16>(n, DType::kBF16, 1.0f / 256);  // rounded once
  }
}

TEST(MuonKernels, AolScalesAreThoseOfTheSums) {
  constexpr int kSize = 37;
  std::vector<float> gram = Normals(kSize * kSize, 5), scales(kSize);
  std::fill_n(gram.begin() + 2 * kSize, kSize, 0.0f);
  AolScales({gram.data(), DType::kF32, kSize, kSize, kSize}, scales.data());
  for (int r = 0; r < kSize; ++r) {
    double sum = 0;
    for (int c = 0; c < kSize; ++c) sum += std::abs(gram[static_cast<size_t>(r * kSize + c)]);
    if (r == 2) {
      EXPECT_TRUE(std::isfinite(scales[2]));
    } else {
      EXPECT_NEAR(scales[static_cast<size_t>(r)] * std::sqrt(sum), 1, 1e-6);
    }
  }
}

TEST(MuonKernels, SquaresOfRowsAndColumns) {
  constexpr int kRows = 9, kCols = 35;
  std::vector<float> x = Normals(kRows * kCols, 6), rows(kRows), cols(kCols, 100);
  const Matrix m{x.data(), DType::kF32, kRows, kCols, kCols};
  LineSquares(m, true, rows.data());
  LineSquares(m, false, cols.data());
  std::vector<double> by_row(kRows), by_col(kCols);
  for (int i = 0; i < kRows * kCols; ++i) {
    const double square = double{x[static_cast<size_t>(i)]} * x[static_cast<size_t>(i)];
    by_row[static_cast<size_t>(i / kCols)] += square;
    by_col[static_cast<size_t>(i % kCols)] += square;
  }
  for (size_t r = 0; r < kRows; ++r) EXPECT_NEAR(rows[r], by_row[r], 1e-4);
  for (size_t c = 0; c < kCols; ++c) EXPECT_NEAR(cols[c], by_col[c], 1e-4);
}

TEST(MuonKernels, CautiousDecayIsWhereSignsAgree) {
  std::vector<float> values = {2, 2, -2, -2, 2, 0, 1e-3f};
  const std::vector<float> update = {1, -1, 1, -1, 0, 1, 1};
  CautiousStep(0.5f, update.data(), 0.75f, std::ssize(values), values.data());
  EXPECT_EQ(values, (std::vector<float>{1.0f, 2.5f, -2.5f, -1.0f, 2.0f, -0.5f, 1e-3f * 0.75f - 0.5f}));
  std::vector<float> many = Normals(40001, 7), wanted = many;
  const std::vector<float> step = Normals(40001, 8);
  CautiousStep(0.1f, step.data(), 0.9f, std::ssize(many), many.data());
  for (size_t i = 0; i < many.size(); ++i) {
    ASSERT_NEAR(many[i], wanted[i] * (step[i] * wanted[i] > 0 ? 0.9 : 1.0) - 0.1 * step[i], 1e-6) << i;
  }
}

}  // namespace
}  // namespace flashlm::kernels
