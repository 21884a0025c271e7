#include "kernels/dropout/dropout.h"

#include <cmath>
#include <set>

#include "kernels/dropout/ref.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/strided_matrix.h"

namespace flashlm::kernels {
namespace {

// The factors of a whole matrix, through the vectorised generator.
std::vector<float> Factors(const Dropout& dropout, int64_t rows, int64_t cols) {
  std::vector<float> ones(static_cast<size_t>(rows * cols), 1.0f), factors(ones.size());
  ApplyDropout({ones.data(), DType::kF32, rows, cols, cols}, dropout, {factors.data(), DType::kF32, rows, cols, cols},
               /*accumulate=*/false);
  return factors;
}

double KeptFraction(const std::vector<float>& factors) {
  double kept = 0;
  for (float f : factors) kept += f != 0;
  return kept / static_cast<double>(factors.size());
}

TEST(DropoutNumbers, EveryColumnOfAGroupHasItsOwnNumber) {
  // Two columns that shared a Philox word half would agree in every row.
  const DropoutRule rule = MakeDropoutRule(0.5f, MakePhiloxKey(1, Purpose::kDropout), 0);
  std::set<std::vector<uint32_t>> columns;
  for (int64_t c = 0; c < 3 * kDropoutGroup; ++c) {
    std::vector<uint32_t> numbers;
    for (int64_t r = 0; r < 4; ++r) numbers.push_back(DropoutNumber(rule, r, c));
    columns.insert(numbers);
  }
  EXPECT_EQ(columns.size(), 3 * kDropoutGroup);
}

TEST(DropoutNumbers, KeepTheStatedFraction) {
  for (float p : {0.1f, 0.5f, 0.9f}) {
    const auto factors = Factors({p, MakePhiloxKey(2, Purpose::kDropout), 17}, 1000, 1000);
    EXPECT_NEAR(KeptFraction(factors), 1 - p, 5 * std::sqrt(p * (1 - p) / 1e6)) << p;
    for (float f : factors) ASSERT_TRUE(f == 0 || f == 1 / (1 - p));
  }
}

TEST(DropoutNumbers, NeighboursAreIndependent) {
  constexpr int64_t kRows = 1000, kCols = 1024;
  const auto factors = Factors({0.5f, MakePhiloxKey(3, Purpose::kDropout), 0}, kRows, kCols);
  for (int64_t lag : {int64_t{1}, int64_t{2}, int64_t{8}, int64_t{16}, int64_t{32}, int64_t{64}, kCols}) {
    double sum = 0;
    const int64_t n = kRows * kCols - lag;
    for (int64_t i = 0; i < n; ++i) sum += (factors[i] - 1) * (factors[i + lag] - 1);  // factors are 0 or 2
    EXPECT_NEAR(sum / static_cast<double>(n), 0, 5 / std::sqrt(static_cast<double>(n))) << lag;
  }
}

TEST(DropoutNumbers, DependOnKeyStepAndRow) {
  const PhiloxKey key = MakePhiloxKey(4, Purpose::kDropout);
  const auto factors = Factors({0.5f, key, 1}, 2, 256);
  EXPECT_EQ(factors, Factors({0.5f, key, 1}, 2, 256));
  EXPECT_NE(factors, Factors({0.5f, key, 2}, 2, 256));
  EXPECT_NE(factors, Factors({0.5f, key, 1 | uint64_t{1} << 32}, 2, 256));
  EXPECT_NE(factors, Factors({0.5f, MakePhiloxKey(5, Purpose::kDropout), 1}, 2, 256));
  EXPECT_NE(std::vector<float>(factors.begin(), factors.begin() + 256),
            std::vector<float>(factors.begin() + 256, factors.end()));
}

using DropoutOf = Elements;

TEST_P(DropoutOf, EqualsItsDefinition) {
  const Dropout dropout{.p = 0.3f, .key = MakePhiloxKey(5, Purpose::kDropout), .step = uint64_t{9} << 32};
  const DropoutRule rule = MakeDropoutRule(dropout.p, dropout.key, dropout.step);
  for (DType to : {DType::kF32, DType::kBF16}) {
    StridedMatrix x(dtype_, kRows, cols_, 1), y(to, kRows, cols_, 2), base(to, kRows, cols_, 2), z(to, kRows, cols_, 3);
    ApplyDropout(x.View(), dropout, y.View(), /*accumulate=*/true);
    std::vector<double> sum = base.Dense(), alone = x.Dense();
    for (int i = 0; i < kRows * cols_; ++i) {
      alone[static_cast<size_t>(i)] *= DropoutScale(rule, i / cols_, i % cols_);
      sum[static_cast<size_t>(i)] += alone[static_cast<size_t>(i)];
    }
    ExpectEqual(y, sum);
    ApplyDropout(x.View(), dropout, y.View(), /*accumulate=*/false);
    ExpectEqual(y, alone);
    if (to == DType::kF32) {
      AddDropout(base.View(), x.View(), dropout, z.View());
      ExpectEqual(z, sum);
      AddDropout(base.View(), x.View(), dropout, base.View());
      EXPECT_EQ(base.Dense(), z.Dense());
    }
  }
}

TEST_P(DropoutOf, NothingKeepsEverything) {
  StridedMatrix x(dtype_, kRows, cols_, 1), y(dtype_, kRows, cols_, 2);
  ApplyDropout(x.View(), Dropout{}, y.View(), /*accumulate=*/false);
  EXPECT_EQ(y.Dense(), x.Dense());
  if (dtype_ == DType::kF32) {
    StridedMatrix sum(dtype_, kRows, cols_, 3);
    AddDropout(x.View(), y.View(), Dropout{}, sum.View());
    std::vector<double> twice = x.Dense();
    for (double& v : twice) v *= 2;
    EXPECT_EQ(sum.Dense(), twice);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, DropoutOf, kElementsCases, Elements::Name);

TEST(DropoutThreads, ResultsDoNotDependOnThreads) {
  constexpr int kManyRows = 300, kCols = 257;
  const Dropout dropout{.p = 0.1f, .key = MakePhiloxKey(1, Purpose::kDropout), .step = 3};
  ExpectSameWithAnyThreads([&] {
    StridedMatrix x(DType::kF32, kManyRows, kCols, 1), y(DType::kF32, kManyRows, kCols, 2);
    AddDropout(y.View(), x.View(), dropout, y.View());
    return y.Dense();
  });
}

}  // namespace
}  // namespace flashlm::kernels
