// What CONTRIBUTING.md shows, compiled from that page, does what it should.
#include <gtest/gtest.h>

#include <cmath>

#include "eval/causality.h"
#include "models/registry.h"
#include "objective/objective.h"
#include "optim/optimizer.h"

namespace flashlm {
namespace {

std::unique_ptr<Model> OneBlock(bool for_training) {
  Json config = FindModel("one-block").tiny();
  config["architecture"] = "one-block";
  std::unique_ptr<Model> model = MakeModel(config, for_training);
  model->bank().Initialize(1);
  return model;
}

TEST(Contributing, TheArchitectureIsCausal) {
  const CausalityReport report = CheckCausality(*OneBlock(false), DType::kF32);
  EXPECT_TRUE(report.passed()) << ToJson(report).dump();
}

TEST(Contributing, TheLossCountsKnownTokensUntilItsEnd) {
  const std::unique_ptr<Model> model = OneBlock(true);
  Tape tape(model->bank(), model->packs(), DType::kF32);
  Objective objective;
  FieldsFromJson({{"copying_weight", 0.5}, {"copying_end", 0.75}}, "train", objective);
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6}, targets = {2, 3, 1, 5, 6, 7};  // two sequences; one copy
  const auto parts_at = [&](double fraction) {
    tape.BeginTraining(2, 3, 1, 1);
    const Prediction prediction = model->Forward(tape, tokens.data());
    return objective.Add(tape, prediction, tokens.data(), targets.data(), 0, fraction, 1);
  };
  const ObjectiveParts parts = parts_at(0.7), later = parts_at(0.75);
  EXPECT_GT(parts["copying"], 0.5);
  EXPECT_NEAR(parts.total, parts.cross_entropy + 0.5 * parts["copying"], 1e-9);
  EXPECT_EQ(later.total, later.cross_entropy);
}

TEST(Contributing, TheRuleDescends) {
  const std::unique_ptr<Model> model = OneBlock(true);
  ParamBank& bank = model->bank();
  OptimConfig config;
  FieldsFromJson({{"optimizer", "sgd"}, {"sgd_momentum", 0.5}, {"lr", 0.5}, {"weight_decay", 0.0}, {"clip", 0.0}},
                 "optim", config);
  Optimizer optimizer(config, bank);
  const ParamInfo& info = bank.infos()[0];
  const float before = bank.values()[info.offset];
  for (int64_t update : {1, 2}) {
    bank.gradients()[info.offset] = 0.01f;
    optimizer.Update(optimizer.GradientNorm(), 1, update);
  }
  EXPECT_NEAR(bank.values()[info.offset], before - 0.5f * (0.01f + 0.015f), 1e-6);
  EXPECT_EQ(StateSize(config, bank), bank.ParameterCount());
}

TEST(Contributing, TheScheduleFalls) {
  OptimConfig config;
  FieldsFromJson({{"schedule", "inverse-sqrt"}, {"warmup_fraction", 0.25}, {"final_lr_fraction", 0.0}}, "optim",
                 config);
  EXPECT_DOUBLE_EQ(ScheduleFactor(config, 0.125), 0.5);
  EXPECT_DOUBLE_EQ(ScheduleFactor(config, 0.25), 1);
  EXPECT_DOUBLE_EQ(ScheduleFactor(config, 1), 0.5);
}

}  // namespace
}  // namespace flashlm
