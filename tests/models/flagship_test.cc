// The reasoning engine as the flagship's option. What it computes is proved by a golden state (golden_test.cc).
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/registry.h"

namespace flashlm {
namespace {

Json Config(const Json& changes) {
  Json config = FindModel("flagship").tiny();
  config["architecture"] = "flagship";
  config.update(changes);
  return config;
}

Json WithEngine() { return {{"rcsm_operations", 3}, {"rcsm_width", 8}, {"rcsm_slots", 4}}; }

std::unique_ptr<Model> Made(const Json& changes) {
  std::unique_ptr<Model> model = MakeModel(Config(changes), true);
  model->bank().Initialize(3);
  return model;
}

std::vector<float> Hidden(Model& model) {
  const std::vector<int32_t> tokens = {5, 4, 9, 4, 8, 7};
  Tape tape(model.bank(), model.packs(), DType::kF32);
  tape.BeginInference(1, static_cast<int>(tokens.size()), nullptr);
  const Tensor hidden = model.Forward(tape, tokens.data()).hidden;
  return {hidden.f32(), hidden.f32() + hidden.rows * hidden.cols};
}

TEST(FlagshipEngine, StartsAsNothingWhereOutputsStartAtZero) {
  Json engine = WithEngine();
  const Json zero = {{"zero_init_outputs", true}};
  engine.update(zero);
  EXPECT_EQ(Hidden(*Made(engine)), Hidden(*Made(zero)));
  EXPECT_NE(Hidden(*Made(WithEngine())), Hidden(*Made(Json::object())));
}

TEST(FlagshipEngine, DepthIsItsAlone) {
  const std::unique_ptr<Model> model = Made(WithEngine());
  const std::vector<float> adaptive = Hidden(*model);
  model->SetDepth(1);
  const std::vector<float> once = Hidden(*model);
  model->SetDepth(8);
  EXPECT_NE(Hidden(*model), once);
  model->SetDepth(0);
  EXPECT_EQ(Hidden(*model), adaptive);
  EXPECT_THROW(model->SetDepth(2), UsageError);
  EXPECT_THROW(Made(Json::object())->SetDepth(1), UsageError);
}

TEST(FlagshipEngine, RemembersFromStepToStep) {
  const std::unique_ptr<Model> model = Made(WithEngine());
  const ParamInfo* slots = model->bank().Find("rcsm.memory.slots");
  const float before = model->bank().values()[slots->offset];
  const std::vector<int32_t> tokens = {5, 4, 9, 4};
  Tape tape(model->bank(), model->packs(), DType::kF32);
  model->BeginStep();
  tape.BeginTraining(1, static_cast<int>(tokens.size()), 1, 1);
  EXPECT_EQ(model->Forward(tape, tokens.data()).auxiliary.cols, 1);
  model->EndStep(true);
  EXPECT_NE(model->bank().values()[slots->offset], before);
}

TEST(FlagshipEngine, CostsWhatItsPassesCost) {
  Json engine = WithEngine();
  const double without = Made(Json::object())->TrainingFlopsPerToken();
  const auto cost = [&](int depth) {
    engine["rcsm_depth"] = depth;
    return Made(engine)->TrainingFlopsPerToken() - without;
  };
  constexpr double kPass = 3 * 8 * 8 + 8 * (3 + 2 * 4), kOnce = 2 * 8 * 32 + 8 * 8 + 2 * 8 * 4;
  EXPECT_DOUBLE_EQ(cost(1), 6 * (kOnce + kPass));
  EXPECT_DOUBLE_EQ(cost(8), 6 * (kOnce + 8 * kPass));
  EXPECT_DOUBLE_EQ(cost(0), 6 * (kOnce + 4 * kPass));
}

TEST(FlagshipEngine, ImpossibleOnesAreRefused) {
  EXPECT_THROW(Made({{"rcsm_operations", 1}}), UsageError);
  EXPECT_THROW(Made({{"rcsm_depth", 2}}), UsageError);
}

}  // namespace
}  // namespace flashlm
