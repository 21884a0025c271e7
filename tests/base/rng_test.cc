#include "base/rng.h"

#include <gtest/gtest.h>

namespace flashlm {
namespace {

// Known answers of Philox 4x32-10 from the Random123 distribution (kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox({0, 0}, {0, 0, 0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, StreamsAreFunctionsOfSeedPurposeAndStep) {
  Rng a(1, Purpose::kInit, 5), b(1, Purpose::kInit, 5), other(1, Purpose::kDropout, 5);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint32_t x = a();
    EXPECT_EQ(x, b());
    differs |= x != other();
  }
  EXPECT_TRUE(differs);
}

TEST(Rng, NormalHasUnitVariance) {
  Rng rng(3, Purpose::kTest);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.02);
}

}  // namespace
}  // namespace flashlm
