// The size that a budget chooses (train/family.h).
#include "train/family.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "models/presets.h"

namespace flashlm {
namespace {

TEST(ScalingLawTest, LossFallsWithSizeAndDataAndRepeatsAreWorthLess) {
  const ScalingLaw law{.floor = 0.5, .size = 20, .size_power = 0.5, .data = 100, .data_power = 0.5, .repeats = 4};
  EXPECT_DOUBLE_EQ(law.BitsPerByte(1e4, 1e4, 1e4), 0.5 + 0.2 + 1.0);
  EXPECT_DOUBLE_EQ(law.BitsPerByte(4e4, 1e4, 1e4), 0.5 + 0.1 + 1.0);
  const double fresh = law.BitsPerByte(1e4, 4e4, 1e9), repeated = law.BitsPerByte(1e4, 4e4, 1e4);
  EXPECT_DOUBLE_EQ(fresh, 0.5 + 0.2 + 0.5);
  EXPECT_GT(repeated, fresh);
  EXPECT_LT(repeated, law.BitsPerByte(1e4, 1e4, 1e4));
  // Read for ever, a text is worth 1 + repeats readings.
  EXPECT_NEAR(law.BitsPerByte(1e4, 1e12, 1e4), 0.7 + 100 / std::sqrt(5e4), 1e-9);
}

}  // namespace
}  // namespace flashlm
