#include "kernels/vector/vector.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/parallel.h"
#include "kernels/vector/ref.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/normals.h"
#include "tests/kernels/strided_matrix.h"

namespace flashlm::kernels {
namespace {

std::vector<double> Widened(const std::vector<float>& x) { return {x.begin(), x.end()}; }

using Vector = Elements;

TEST_P(Vector, CopyConvertsAndAccumulates) {
  for (DType to : {DType::kF32, DType::kBF16}) {
    StridedMatrix x(dtype_, kRows, cols_, 1), y(to, kRows, cols_, 2);
    std::vector<double> sum = y.Dense();
    const std::vector<double> vx = x.Dense();
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += vx[i];
    Copy(x.View(), y.View(), /*accumulate=*/true);
    ExpectEqual(y, sum);
    Copy(x.View(), y.View(), /*accumulate=*/false);
    ExpectEqual(y, vx);
    if (to == dtype_) {
      EXPECT_EQ(y.Dense(), vx);
    }
  }
}

TEST_P(Vector, AddTakesASecondTermOfAnyType) {
  for (DType to : {DType::kF32, DType::kBF16}) {
    StridedMatrix a(to, kRows, cols_, 1), b(dtype_, kRows, cols_, 2), y(to, kRows, cols_, 3);
    std::vector<double> sum = a.Dense();
    const std::vector<double> vb = b.Dense();
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += vb[i];
    Add(a.View(), b.View(), y.View());
    ExpectEqual(y, sum);
  }
}

TEST_P(Vector, ScaleIsByRowsByColumnsOrByBoth) {
  const std::vector<float> by_row = Normals(kRows, 3), by_column = Normals(cols_, 4);
  for (DType to : {DType::kF32, DType::kBF16}) {
    for (const bool rows : {false, true}) {
      for (const bool columns : {false, true}) {
        StridedMatrix x(dtype_, kRows, cols_, 1), y(to, kRows, cols_, 2);
        std::vector<double> expected = x.Dense();
        for (int i = 0; i < kRows * cols_; ++i) {
          if (rows) expected[static_cast<size_t>(i)] *= by_row[static_cast<size_t>(i / cols_)];
          if (columns) expected[static_cast<size_t>(i)] *= by_column[static_cast<size_t>(i % cols_)];
        }
        Scale(x.View(), rows ? by_row.data() : nullptr, columns ? by_column.data() : nullptr, y.View());
        ExpectEqual(y, expected);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, Vector, kElementsCases, Elements::Name);

// Elementwise kernels share their loop over rows, blocks of about 16 K elements: here five, the last one short.
TEST(ElementwiseRows, AreAllVisitedOnce) {
  constexpr int kManyRows = 300, kCols = 257;
  StridedMatrix x(DType::kF32, kManyRows, kCols, 1), y(DType::kF32, kManyRows, kCols, 2);
  std::vector<double> sum = y.Dense();
  const std::vector<double> vx = x.Dense();
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += vx[i];
  Copy(x.View(), y.View(), /*accumulate=*/true);
  ExpectEqual(y, sum);
}

TEST(Axpby, EqualsTheReferenceAlsoInPlace) {
  for (const int64_t n : {1, 7, 33, 16384 + 5}) {
    const std::vector<float> x = Normals(n, 1);
    std::vector<float> y = Normals(n, 2), own = y;
    std::vector<double> y64 = Widened(y), own64 = y64;
    Axpby(0.75f, x.data(), -1.5f, y.data(), n);
    ref::Axpby(0.75, Widened(x).data(), -1.5, y64.data(), n);
    Axpby(0.75f, own.data(), -1.5f, own.data(), n);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], y64[i], 1e-6 * (1 + std::abs(y64[i]))) << n << " " << i;
      ASSERT_NEAR(own[i], -0.75 * own64[i], 1e-6) << n << " " << i;
    }
  }
}

TEST(SumOfSquares, IsExactEnoughAndDoesNotDependOnThreads) {
  const int threads = ThreadCount();
  for (int64_t n : {0, 1, 7, 33, 257, 16385, 3000000}) {
    const std::vector<float> x = Normals(n, 4);
    const double expected = ref::SumOfSquares(Widened(x).data(), n);
    SetThreadCount(1);
    const double one = SumOfSquares(x.data(), n);
    SetThreadCount(2);
    const double two = SumOfSquares(x.data(), n);
    EXPECT_NEAR(one, expected, 1e-6 * expected) << n;
    EXPECT_EQ(one, two) << n;
  }
  SetThreadCount(threads);
}

class RowDotOf : public ::testing::TestWithParam<int> {};

TEST_P(RowDotOf, EqualTheReferenceAsTheirGradientsDo) {
  const int cols = GetParam();
  constexpr int kManyRows = 150;  // three blocks of the weight gradient
  StridedMatrix x(DType::kF32, kManyRows, cols, 1), dx(DType::kF32, kManyRows, cols, 2), before = dx;
  std::vector<float> w(cols), y(kManyRows), dy(kManyRows), dw(cols, 1.0f);
  Rng rng(7, Purpose::kTest);
  for (float& v : w) v = rng.Normal();
  for (float& v : dy) v = rng.Normal();
  const std::vector<double> w64(w.begin(), w.end()), dy64(dy.begin(), dy.end());
  std::vector<double> expected(kManyRows);
  ref::RowDot(x.Dense().data(), w64.data(), kManyRows, cols, expected.data());
  RowDot(x.View(), w.data(), y.data());
  for (int r = 0; r < kManyRows; ++r) EXPECT_NEAR(y[r], expected[r], 1e-4);

  std::vector<float> scratch(static_cast<size_t>(RowDotGradScratch(kManyRows, cols)));
  RowDotGrad(x.View(), w.data(), dy.data(), dx.View(), /*accumulate=*/true, dw.data(), scratch.data());
  std::vector<double> dx64(static_cast<size_t>(kManyRows * cols)), dw64(cols, 1.0);
  for (int r = 0; r < kManyRows; ++r) {
    for (int c = 0; c < cols; ++c) {
      dx64[static_cast<size_t>(r * cols + c)] = before.Get(r, c) + dy64[r] * w64[c];
      dw64[c] += dy64[r] * x.Get(r, c);
    }
  }
  ExpectEqual(dx, dx64);
  for (int c = 0; c < cols; ++c) EXPECT_NEAR(dw[c], dw64[c], 1e-4);
  RowDotGrad(x.View(), w.data(), dy.data(), dx.View(), /*accumulate=*/false, dw.data(), scratch.data());
  for (int c = 0; c < cols; ++c) EXPECT_EQ(dx.Get(3, c), dy[3] * w[c]);
}

INSTANTIATE_TEST_SUITE_P(Widths, RowDotOf, ::testing::Values(1, 7, 33, 257));

TEST(SumRows, EqualsTheReferenceAndDoesNotDependOnThreads) {
  constexpr int kManyRows = 150;  // three blocks
  const int before = ThreadCount();
  for (const int cols : {1, 7, 33, 257}) {
    StridedMatrix x(DType::kF32, kManyRows, cols, 1);
    std::vector<double> expected(static_cast<size_t>(cols), 1.0);
    ref::SumRows(x.Dense().data(), kManyRows, cols, expected.data());
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 3}) {
      SetThreadCount(threads);
      std::vector<float>& sums = results.emplace_back(static_cast<size_t>(cols), 1.0f);
      std::vector<float> scratch(static_cast<size_t>(SumRowsScratch(kManyRows, cols)));
      SumRows(x.View(), sums.data(), scratch.data());
    }
    for (size_t c = 0; c < expected.size(); ++c) EXPECT_NEAR(results[0][c], expected[c], 1e-4);
    EXPECT_EQ(results[0], results[1]);
  }
  SetThreadCount(before);
}

TEST(RowDot, GradientsDoNotDependOnThreads) {
  constexpr int kManyRows = 300, kCols = 257;
  ExpectSameWithAnyThreads([&] {
    StridedMatrix x(DType::kF32, kManyRows, kCols, 1);
    std::vector<float> w(kCols, 0.3f), dots(kManyRows), dw(kCols);
    std::vector<float> scratch(static_cast<size_t>(RowDotGradScratch(kManyRows, kCols)));
    RowDot(x.View(), w.data(), dots.data());
    RowDotGrad(x.View(), w.data(), dots.data(), x.View(), true, dw.data(), scratch.data());
    std::vector<double> all = x.Dense();
    all.insert(all.end(), dw.begin(), dw.end());
    return all;
  });
}

TEST(Argmax, IsTheFirstOfTheLargest) {
  for (const int n : {1, 3, 16, 17, 67, 4096, 4099}) {
    std::vector<float> z = Normals(n, 9);
    EXPECT_EQ(Argmax(z.data(), n), std::max_element(z.begin(), z.end()) - z.begin()) << n;
    for (float& v : z) v = std::round(v);
    EXPECT_EQ(Argmax(z.data(), n), std::max_element(z.begin(), z.end()) - z.begin()) << n;
    std::fill(z.begin(), z.end(), -3.0f);
    EXPECT_EQ(Argmax(z.data(), n), 0) << n;
  }
}

TEST(IndicesFrom, AreThoseOfTheDefinition) {
  for (const int n : {1, 3, 16, 17, 67, 4093}) {
    std::vector<float> z = Normals(n, 10);
    for (float& v : z) v = std::round(2 * v) / 2;  // some equal the bound
    for (const float lowest : {-std::numeric_limits<float>::infinity(), -1.0f, 1.5f, 100.0f}) {
      std::vector<int32_t> expected, found(static_cast<size_t>(n + kIndicesSlack));
      for (int i = 0; i < n; ++i) {
        if (z[static_cast<size_t>(i)] >= lowest) expected.push_back(i);
      }
      found.resize(static_cast<size_t>(IndicesFrom(lowest, z.data(), n, found.data())));
      EXPECT_EQ(found, expected) << n << " from " << lowest;
    }
  }
}

}  // namespace
}  // namespace flashlm::kernels
