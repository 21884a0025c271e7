#include "kernels/gemm/gemm.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/parallel.h"
#include "kernels/gemm/ref.h"
#include "kernels/isa.h"
#include "kernels/vector/vector.h"
#include "tests/kernels/both_types.h"

namespace flashlm::kernels {
namespace {

void ExpectNear(const BothTypes& a, const BothTypes& b, int64_t terms) {
  for (size_t i = 0; i < a.f32.size(); ++i) {
    ASSERT_NEAR(a.f32[i], b.f32[i], 1e-5 * static_cast<double>(terms)) << i;
  }
}

// Few rows, many rows and both sides of the boundary.
TEST(PackedWeight, ForwardEqualsPlainLoopsForAnyNumberOfRows) {
  constexpr int64_t kOut = 70, kIn = 129;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    if (dtype == DType::kBF16 && !HasNativeBf16()) continue;  // no product of many rows for it
    BothTypes w(kOut, kIn, 1);
    PackedWeight packed;
    packed.SetValues(w.f32.data(), kOut, kIn, dtype);
    for (const int64_t rows : {int64_t{1}, int64_t{5}, kFewRows, kFewRows + 1, int64_t{100}}) {
      BothTypes x(rows, kIn, 2), y(rows, kOut, 3), expected = y;
      for (const bool accumulate : {false, true}) {
        packed.Forward(x.View(dtype), y.View(DType::kF32), accumulate);
        ref::MatMul(x.View(DType::kF32), false, w.View(DType::kF32), true, expected.View(DType::kF32), accumulate);
        ExpectNear(y, expected, kIn);
      }
    }
  }
}

// Not in another way: oneDNN would multiply columns of a wider matrix in plain loops, whose sums have another order.
TEST(PackedWeight, ColumnsOfAWiderMatrixAreMultipliedAsTheyWouldBeAlone) {
  if (ActiveIsa() != Isa::kAvx512) GTEST_SKIP() << "where oneDNN has kernels for packed weights";
  constexpr int64_t kRows = 200, kIn = 96, kOut = 80, kMore = 32;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    if (dtype == DType::kBF16 && !HasNativeBf16()) continue;
    BothTypes w(kOut, kIn, 1), wide_x(kRows, kIn + kMore, 2), wide_y(kRows, kOut + kMore, 3);
    PackedWeight packed;
    packed.SetValues(w.f32.data(), kOut, kIn, dtype);
    const auto expect_same = [](const Matrix& from, const Matrix& to, const auto& product) {
      std::vector<float> alone(static_cast<size_t>(from.rows * from.cols)),
          sums(static_cast<size_t>(to.rows * to.cols));
      const Matrix close{alone.data(), from.dtype, from.rows, from.cols, from.cols};
      const Matrix expected{sums.data(), DType::kF32, to.rows, to.cols, to.cols};
      Copy(from, close, false);
      Copy(to, expected, false);
      product(close, expected);
      product(from, to);
      for (int64_t r = 0; r < to.rows; ++r) {
        ASSERT_EQ(std::memcmp(to.Row<float>(r), expected.Row<float>(r), static_cast<size_t>(to.cols) * 4), 0) << r;
      }
    };
    for (const bool accumulate : {false, true}) {
      const Matrix y = wide_y.View(DType::kF32).Columns(5, kOut), x = wide_x.View(dtype).Columns(7, kIn);
      expect_same(x, y, [&](const Matrix& a, const Matrix& c) { packed.Forward(a, c, accumulate); });
      const Matrix dy = wide_x.View(dtype).Columns(3, kOut), dx = wide_y.View(DType::kF32).Columns(0, kIn);
      expect_same(dy, dx, [&](const Matrix& a, const Matrix& c) { packed.InputGradient(a, c, accumulate); });
    }
  }
}

// A team's program should not call it, but if it does the product must be right.
TEST(MatMul, InsideATeamIsTheSameProduct) {
  constexpr int64_t kM = 96, kK = 200, kN = 150;
  BothTypes a(kM, kK, 1), b(kK, kN, 2), outside(kM, kN, 3), inside(kM, kN, 4);
  MatMul(a.View(DType::kF32), false, b.View(DType::kF32), false, outside.View(DType::kF32), false);
  Team::Run([&] { MatMul(a.View(DType::kF32), false, b.View(DType::kF32), false, inside.View(DType::kF32), false); });
  ExpectNear(inside, outside, kK);
  // And one that was prepared inside a team serves outside.
  BothTypes c(kM + 1, kK, 5), first(kM + 1, kN, 6), second(kM + 1, kN, 7);
  Team::Run([&] { MatMul(c.View(DType::kF32), false, b.View(DType::kF32), false, first.View(DType::kF32), false); });
  MatMul(c.View(DType::kF32), false, b.View(DType::kF32), false, second.View(DType::kF32), false);
  ExpectNear(first, second, kK);
}

}  // namespace
}  // namespace flashlm::kernels
