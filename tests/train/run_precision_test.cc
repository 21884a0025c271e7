#include "train/run_precision.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/gemm/precision.h"

namespace flashlm {
namespace {

TEST(RunPrecision, AutoBecomesWhatIsFastestHere) {
  RunConfig config;
  ASSERT_EQ(config.train.precision, "auto");
  ResolvePrecision(config);
  EXPECT_EQ(config.train.precision, NameOf(kernels::ComputeType("auto", kernels::Work::kTraining)));
  config.train.precision = "f32";
  ResolvePrecision(config);
  EXPECT_EQ(config.train.precision, "f32");
}

TEST(RunPrecision, ASessionKeepsTheRunsTypeWhereTheCpuHasIt) {
  EXPECT_EQ(SessionType("f32"), DType::kF32);
  testing::internal::CaptureStderr();
  EXPECT_EQ(SessionType("bf16"), kernels::MultipliesBf16() ? DType::kBF16 : DType::kF32);
  EXPECT_EQ(testing::internal::GetCapturedStderr().empty(), kernels::MultipliesBf16());
}

TEST(RunPrecision, AutoAgreesWithWhateverARunHas) {
  const Json named = {{"train", {{"precision", "auto"}, {"micro_batch", 4}}}};
  EXPECT_EQ(WithoutAutoPrecision(named), Json({{"train", {{"micro_batch", 4}}}}));
  const Json forced = {{"train", {{"precision", "f32"}}}};
  EXPECT_EQ(WithoutAutoPrecision(forced), forced);
  EXPECT_EQ(WithoutAutoPrecision(Json::object()), Json::object());
  EXPECT_EQ(WithoutAutoPrecision(Json()), Json());
}

}  // namespace
}  // namespace flashlm
