#include "kernels/mixture/mixture.h"

#include "kernels/scan/scan.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/both_types.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kRows = 150, kCols = 37, kSlots = 5;

std::vector<float> Room(int64_t floats) { return std::vector<float>(static_cast<size_t>(floats)); }

TEST(Mixture, TypesAgree) {
  BothTypes x(kRows, kCols, 1), a(kRows, kCols, 2), b(kRows, kCols, 3), logits(kRows, 2, 4), dy(kRows, kCols, 5);
  BothTypes slots(kSlots, kCols, 6), dread(kRows, 2 * kCols, 7);
  BothTypes da(kRows, kCols), db(kRows, kCols), dlogits(kRows, 2), read(kRows, 2 * kCols), dquery(kRows, kCols);
  BothTypes sum(kRows, kCols), dx(kRows, kCols);  // f32 alone
  std::vector<float> weights = Room(kRows * kSlots), dslots = Room(kSlots * kCols);
  std::vector<float> scratch = Room(SlotReadGradScratch(kRows, kCols, kSlots));
  constexpr DType kF32 = DType::kF32;
  ExpectTypesAgree(
      [&](DType type) {
        AddMixture(x.View(kF32), logits.View(type), a.View(type), b.View(type), sum.View(kF32));
        AddMixtureGrad(logits.View(type), a.View(type), b.View(type), dy.View(kF32), dlogits.View(type), da.View(type),
                       db.View(type));
        SlotRead(x.View(kF32), a.View(type), slots.f32.data(), kSlots, read.View(type), weights.data());
        SlotReadGrad(a.View(type), slots.f32.data(), kSlots, weights.data(), dread.View(type), dx.View(kF32), false,
                     dquery.View(type), dslots.data(), scratch.data());
      },
      {&da, &db, &dlogits, &read, &dquery});
}

TEST(Mixture, ThreadsDoNotChangeABit) {
  ExpectSameWithAnyThreads([] {
    BothTypes x(kRows, kCols, 1), query(kRows, kCols, 2), slots(kSlots, kCols, 3), dy(kRows, 2 * kCols, 4);
    BothTypes y(kRows, 2 * kCols), dx(kRows, kCols), dquery(kRows, kCols);
    std::vector<float> weights = Room(kRows * kSlots), all = Room(kSlots * kCols);
    std::vector<float> scratch = Room(SlotReadGradScratch(kRows, kCols, kSlots));
    SlotRead(x.View(DType::kF32), query.View(DType::kF32), slots.f32.data(), kSlots, y.View(DType::kF32),
             weights.data());
    SlotReadGrad(query.View(DType::kF32), slots.f32.data(), kSlots, weights.data(), dy.View(DType::kF32),
                 dx.View(DType::kF32), false, dquery.View(DType::kF32), all.data(), scratch.data());
    return all;
  });
}

// The mean of a stream read in pieces: the state is the mean itself, so rounding differs from one long sum only.
TEST(RunningMean, PiecesWithStateEqualTheWhole) {
  BothTypes x(kRows, kCols, 1), whole(kRows, kCols), pieces(kRows, kCols);
  RunningMean({1, kRows, kCols}, x.View(DType::kF32), nullptr, nullptr, whole.View(DType::kF32));
  std::vector<float> mean = Room(kCols);
  int64_t first = 0;
  for (const int64_t length : {1, 3, 1, 40, 105}) {
    RunningMean({1, length, kCols}, x.View(DType::kF32, first, length), &first, mean.data(),
                pieces.View(DType::kF32, first, length));
    first += length;
  }
  ASSERT_EQ(first, kRows);
  EXPECT_EQ(whole.f32, pieces.f32);
}

}  // namespace
}  // namespace flashlm::kernels
