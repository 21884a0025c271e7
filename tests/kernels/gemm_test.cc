#include "kernels/gemm/gemm.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "kernels/gemm/ref.h"
#include "kernels/isa.h"
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
