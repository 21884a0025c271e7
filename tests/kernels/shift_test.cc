#include "kernels/shift/shift.h"

#include "tests/kernels/any_threads.h"
#include "tests/kernels/both_types.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kBatch = 2, kLength = 150, kCols = 37, kRows = kBatch * kLength;

TEST(Shift, TypesAgree) {
  BothTypes x(kRows, kCols, 1), mix(1, kCols, 2), dy(kRows, kCols, 3), y(kRows, kCols), dx(kRows, kCols);
  BothTypes pair(kRows, 2 * kCols), dpair(kRows, 2 * kCols, 4), dx_of_pair(kRows, kCols);
  std::vector<float> dmix(kCols), scratch(static_cast<size_t>(TokenShiftGradScratch(kRows, kCols)));
  const ShiftShape shape{kBatch, kLength, 1};
  ExpectTypesAgree(
      [&](DType type) {
        TokenShift(shape, x.View(type), mix.f32.data(), nullptr, y.View(type));
        TokenShiftGrad(shape, x.View(type), mix.f32.data(), dy.View(type), dx.View(type), false, dmix.data(),
                       scratch.data());
        PairWithPast({kBatch, kLength, 3}, x.View(type), nullptr, pair.View(type));
        PairWithPastGrad({kBatch, kLength, 3}, dpair.View(type), dx_of_pair.View(type), false);
      },
      {&y, &dx, &pair, &dx_of_pair});
}

TEST(Shift, PiecesWithStateEqualTheWhole) {
  constexpr int64_t kLag = 3;
  for (const DType type : {DType::kF32, DType::kBF16}) {
    BothTypes x(kLength, kCols, 1), mix(1, kCols, 2), whole(kLength, kCols), pieces(kLength, kCols);
    BothTypes whole_pair(kLength, 2 * kCols), pair(kLength, 2 * kCols);
    TokenShift({1, kLength, 1}, x.View(type), mix.f32.data(), nullptr, whole.View(type));
    PairWithPast({1, kLength, kLag}, x.View(type), nullptr, whole_pair.View(type));
    std::vector<float> last(kCols), history(kLag * kCols);
    int64_t first = 0;
    for (const int64_t length : {1, 1, 2, 40, 1, 105}) {
      const Matrix piece = x.View(type, first, length);
      TokenShift({1, length, 1}, piece, mix.f32.data(), last.data(), pieces.View(type, first, length));
      UpdateHistory({1, length, 1}, piece, last.data());
      PairWithPast({1, length, kLag}, piece, history.data(), pair.View(type, first, length));
      UpdateHistory({1, length, kLag}, piece, history.data());
      first += length;
    }
    ASSERT_EQ(first, kLength);
    for (int64_t i = 0; i < kLength * kCols; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_EQ(whole.f32[at], pieces.f32[at]);
      EXPECT_EQ(whole.bf16[at].bits, pieces.bf16[at].bits);
      EXPECT_EQ(whole_pair.f32[2 * at], pair.f32[2 * at]);
      EXPECT_EQ(whole_pair.bf16[2 * at + 1].bits, pair.bf16[2 * at + 1].bits);
    }
  }
}

TEST(Shift, ThreadsDoNotChangeABit) {
  ExpectSameWithAnyThreads([] {
    BothTypes x(kRows, kCols, 1), mix(1, kCols, 2), dy(kRows, kCols, 3), dx(kRows, kCols);
    std::vector<float> scratch(static_cast<size_t>(TokenShiftGradScratch(kRows, kCols)));
    std::vector<float> dmix(kCols);
    TokenShiftGrad({kBatch, kLength, 1}, x.View(DType::kF32), mix.f32.data(), dy.View(DType::kF32),
                   dx.View(DType::kF32), false, dmix.data(), scratch.data());
    return dmix;
  });
}

}  // namespace
}  // namespace flashlm::kernels
