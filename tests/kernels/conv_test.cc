#include "kernels/conv/conv.h"

#include "kernels/shift/shift.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/both_types.h"

namespace flashlm::kernels {
namespace {

constexpr int64_t kBatch = 2, kLength = 150, kCols = 37, kTaps = 8, kRows = kBatch * kLength;
constexpr ConvShape kShape{kBatch, kLength, kCols, kTaps};

std::vector<float> Room(int64_t floats) { return std::vector<float>(static_cast<size_t>(floats)); }

TEST(Conv, TypesAgree) {
  BothTypes x(kRows, 2 * kCols, 1), kernel(kCols, kTaps, 2), dy(kRows, kCols, 3), y(kRows, kCols), dx(kRows, 2 * kCols);
  std::vector<float> scratch = Room(GatedConvGradScratch(kShape)), dkernel = Room(kCols * kTaps);
  ExpectTypesAgree(
      [&](DType type) {
        GatedConv(kShape, x.View(type), kernel.f32.data(), nullptr, y.View(type), scratch.data());
        GatedConvGrad(kShape, x.View(type), kernel.f32.data(), dy.View(type), dx.View(type), dkernel.data(),
                      scratch.data());
      },
      {&y, &dx});
}

TEST(Conv, PiecesWithStateEqualTheWhole) {
  for (const DType type : {DType::kF32, DType::kBF16}) {
    BothTypes x(kLength, 2 * kCols, 1), kernel(kCols, kTaps, 2), whole(kLength, kCols), pieces(kLength, kCols);
    std::vector<float> scratch = Room(kTaps * kCols), history = Room((kTaps - 1) * kCols);
    GatedConv({1, kLength, kCols, kTaps}, x.View(type), kernel.f32.data(), nullptr, whole.View(type), scratch.data());
    int64_t first = 0;
    for (const int64_t length : {1, 3, 1, 40, 1, 104}) {
      Matrix piece = x.View(type, first, length);
      GatedConv({1, length, kCols, kTaps}, piece, kernel.f32.data(), history.data(), pieces.View(type, first, length),
                scratch.data());
      piece.data = static_cast<char*>(piece.data) + kCols * static_cast<int64_t>(SizeOf(type));
      piece.cols = kCols;
      UpdateHistory({1, length, kTaps - 1}, piece, history.data());
      first += length;
    }
    ASSERT_EQ(first, kLength);
    EXPECT_EQ(whole.f32, pieces.f32);
    for (size_t i = 0; i < whole.bf16.size(); ++i) EXPECT_EQ(whole.bf16[i].bits, pieces.bf16[i].bits);
  }
}

TEST(Conv, ThreadsDoNotChangeABit) {
  ExpectSameWithAnyThreads([] {
    BothTypes x(kRows, 2 * kCols, 1), kernel(kCols, kTaps, 2), dy(kRows, kCols, 3), dx(kRows, 2 * kCols);
    std::vector<float> scratch = Room(GatedConvGradScratch(kShape)), dkernel = Room(kCols * kTaps);
    GatedConvGrad(kShape, x.View(DType::kF32), kernel.f32.data(), dy.View(DType::kF32), dx.View(DType::kF32),
                  dkernel.data(), scratch.data());
    dkernel.insert(dkernel.end(), dx.f32.begin(), dx.f32.end());
    return dkernel;
  });
}

}  // namespace
}  // namespace flashlm::kernels
