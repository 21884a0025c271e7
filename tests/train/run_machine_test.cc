#include "train/run_machine.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"
#include "models/registry.h"

namespace flashlm {
namespace {

TEST(RunPrecision, AutoBecomesWhatIsFastestHere) {
  TrainConfig train;
  ASSERT_EQ(train.precision, "auto");
  ASSERT_EQ(train.products, "auto");
  ResolvePrecision(train);
  EXPECT_EQ(train.precision, NameOf(kernels::ComputeType("auto", kernels::Work::kTraining)));
  const DType fastest = kernels::FasterProducts(kernels::MeasuredRates(kernels::Work::kTraining));
  EXPECT_EQ(train.products, fastest == DType::kI8 ? "int8" : train.precision);
  EXPECT_EQ(train.update_products, NameOf(kernels::FasterType(kernels::MeasuredRates(kernels::Work::kTraining))));
}

TrainConfig Resolved(const std::string& precision, const std::string& products) {
  TrainConfig train;
  train.precision = precision;
  train.products = products;
  ResolvePrecision(train);
  return train;
}

TEST(RunPrecision, ProductsAreOfTheTypeOfTensorsOrInt8) {
  EXPECT_EQ(Resolved("f32", "auto").products, "f32");  // who asks for a type gets it
  EXPECT_EQ(Resolved("auto", "f32").precision, "f32");
  if (kernels::HasVnni()) {
    EXPECT_EQ(Resolved("f32", "int8").products, "int8");
    EXPECT_EQ(Resolved("f32", "int8").precision, "f32");
  } else {
    EXPECT_THROW(Resolved("f32", "int8"), UsageError);
  }
  EXPECT_THROW(Resolved("bf16", "f32"), UsageError);
}

TEST(RunPrecision, Int8IsChosenWhereItIsFasterByMoreThanATenth) {
  using kernels::FasterProducts;
  EXPECT_EQ(FasterProducts({.f32 = 100, .bf16 = 50, .int8 = 120}), DType::kI8);
  EXPECT_EQ(FasterProducts({.f32 = 100, .bf16 = 50, .int8 = 105}), DType::kF32);
  EXPECT_EQ(FasterProducts({.f32 = 100, .bf16 = 200, .int8 = 150}), DType::kBF16);
  EXPECT_EQ(FasterProducts({}), DType::kF32);
}

TEST(RunPrecision, TensorsBesideInt8AreOfHalfTheBytesAndUpdatesOfWhatIsFast) {
  using kernels::TensorType;
  EXPECT_EQ(TensorType({.f32 = 100, .bf16 = 50, .int8 = 120}), DType::kBF16);
  EXPECT_EQ(TensorType({.f32 = 100, .bf16 = 0, .int8 = 120}), DType::kF32);  // a CPU without bf16
  EXPECT_EQ(TensorType({.f32 = 100, .bf16 = 50, .int8 = 105}), DType::kF32);
  EXPECT_EQ(TensorType({.f32 = 100, .bf16 = 200, .int8 = 0}), DType::kBF16);
  EXPECT_EQ(Resolved("f32", "auto").update_products, "f32");
  TrainConfig train;
  EXPECT_EQ(SessionUpdates(train, DType::kBF16), DType::kBF16);  // a run of before
  train.update_products = "f32";
  EXPECT_EQ(SessionUpdates(train, DType::kBF16), DType::kF32);
  train = {};
  train.update_products = "bf16";
  if (kernels::MultipliesBf16()) {
    EXPECT_NO_THROW(ResolvePrecision(train));
  } else {
    EXPECT_THROW(ResolvePrecision(train), UsageError);
  }
}

TEST(RunPrecision, ASessionKeepsTheRunsTypeWhereTheCpuHasIt) {
  EXPECT_EQ(SessionType("f32"), DType::kF32);
  testing::internal::CaptureStderr();
  EXPECT_EQ(SessionType("bf16"), kernels::MultipliesBf16() ? DType::kBF16 : DType::kF32);
  EXPECT_EQ(testing::internal::GetCapturedStderr().empty(), kernels::MultipliesBf16());
}

Json TinyConfig(const std::string& architecture) {
  Json config = FindModel(architecture).tiny();
  config["architecture"] = architecture;
  return config;
}

int LanesOf(const Json& model, int micro_batch, int lanes, int threads) {
  const int before = ThreadCount();
  SetThreadCount(threads);
  TrainConfig train;
  train.micro_batch = micro_batch;
  train.lanes = lanes;
  const std::unique_ptr<Model> made = MakeModel(model, false);
  ResolveLanes(*made, train);
  SetThreadCount(before);
  return train.lanes;
}

// At least two, so that one thread and two give the same bits.
TEST(RunLanes, AreAsManyAsThreadsThatCutAMicroBatch) {
  const Json gpt = TinyConfig("gpt");
  EXPECT_EQ(LanesOf(gpt, 8, 0, 1), 2);
  EXPECT_EQ(LanesOf(gpt, 8, 0, 2), 2);
  EXPECT_EQ(LanesOf(gpt, 8, 0, 3), 2);
  EXPECT_EQ(LanesOf(gpt, 1, 0, 2), 1);
  EXPECT_EQ(LanesOf(gpt, 8, 4, 2), 4);  // as asked for: on fewer threads one after the other
}

TEST(RunLanes, AreOneWherePassesCannotRunSideBySide) {
  Json tables = TinyConfig("gpt");
  tables["table_bigrams"] = 100;
  EXPECT_EQ(LanesOf(tables, 8, 0, 2), 1);
  EXPECT_EQ(LanesOf(tables, 8, 1, 2), 1);
  EXPECT_THROW(LanesOf(tables, 8, 2, 2), UsageError);
}

TEST(RunMachine, ChoicesLeftToTheMachineAgreeWithWhateverARunHas) {
  const Json named = {{"train", {{"precision", "auto"}, {"lanes", 0}, {"micro_batch", 4}}}};
  EXPECT_EQ(WithoutMachineChoices(named), Json({{"train", {{"micro_batch", 4}}}}));
  const Json forced = {{"train", {{"precision", "f32"}, {"lanes", 2}}}};
  EXPECT_EQ(WithoutMachineChoices(forced), forced);
  EXPECT_EQ(WithoutMachineChoices(Json::object()), Json::object());
  EXPECT_EQ(WithoutMachineChoices(Json()), Json());
}

}  // namespace
}  // namespace flashlm
