// What is minimised: the terms, what they cost, and that a new one is one file.
#include "objective/objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/rng.h"
#include "models/registry.h"

namespace flashlm {
namespace {

// Rewards small states: the mean square of the last hidden state, in the second half of the budget.
class SmallStates final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override { v.Real("small_states_weight", weight_, 0, 100, "a test's"); }
  void Validate(const Json& model) const override {
    if (weight_ > 0 && model.at("vocab") == 33) throw UsageError("small_states_weight: not with 33 tokens");
  }
  double Weight(int64_t, double fraction) const override { return fraction >= 0.5 ? weight_ : 0; }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"small_states"};
    return {kParts, weight_ > 0 ? std::size(kParts) : 0};
  }
  double Add(Tape&, const TermInputs& inputs, const CrossEntropyResult&, double,
             std::span<double> parts) const override {
    const Tensor& hidden = inputs.prediction.hidden;
    for (int64_t i = 0; i < int64_t{hidden.rows} * hidden.cols; ++i) {
      parts[0] += std::pow(hidden.f32()[i], 2) / (int64_t{hidden.rows} * hidden.cols);
    }
    return parts[0];
  }

 private:
  double weight_ = 0;
};

FLASHLM_REGISTER_TERM("small-states", SmallStates);

constexpr int kBatch = 2, kLength = 12;

// A model with everything that terms may ask for, and tokens for it.
struct Trainee {
  std::unique_ptr<Model> model;
  std::vector<int32_t> tokens, targets;
  Tape tape;

  Trainee() : model(Make()), tape(model->bank(), model->packs(), DType::kF32) {
    model->bank().Initialize(5);
    Rng rng(9, Purpose::kTest);
    for (int n = 0; n < kBatch * kLength; ++n) {
      tokens.push_back(static_cast<int32_t>(rng.Below(32)));
      targets.push_back(static_cast<int32_t>(rng.Below(32)));
    }
    tape.SetProfiling(true);
  }
  static std::unique_ptr<Model> Make() {
    Json config = FindModel("cortex-viii").tiny();
    config.update({{"architecture", "cortex-viii"}, {"second_head", true}});
    return MakeModel(config, true);
  }
  ObjectiveParts Run(const Objective& objective, int64_t step = 0, double fraction = 1, int micro_batches = 1) {
    tape.ClearProfile();
    tape.BeginTraining(kBatch, kLength, 1, 1);
    const Prediction prediction = model->Forward(tape, tokens.data());
    const ObjectiveParts parts =
        objective.Add(tape, prediction, tokens.data(), targets.data(), step, fraction, micro_batches);
    std::fill_n(model->bank().gradients(), model->bank().size(), 0.0f);
    tape.Backward();
    return parts;
  }
  int64_t Calls(const std::string& operation) const {
    const auto found = tape.profile().find(operation);
    return found == tape.profile().end() ? 0 : found->second.calls;
  }
  std::vector<float> Gradients() const {
    return {model->bank().gradients(), model->bank().gradients() + model->bank().size()};
  }
};

Objective With(const Json& fields) {
  Objective objective;
  FieldsFromJson({{"value_weight", 0.0}}, "train", objective);
  FieldsFromJson(fields, "train", objective);
  return objective;
}

std::set<std::string> NamesOf(const ObjectiveParts& parts) {
  std::set<std::string> names;
  for (const ObjectiveParts::Part& part : parts.parts()) names.insert(part.name);
  return names;
}

TEST(ObjectiveTest, WhatHasNoWeightCostsNothing) {
  Trainee trainee;
  const ObjectiveParts parts = trainee.Run(With(Json::object()));
  EXPECT_EQ(trainee.Calls("cross_entropy (GEMM)"), 1);
  EXPECT_EQ(trainee.Calls("value_loss"), 0);
  EXPECT_EQ(parts.total, parts.cross_entropy);
  EXPECT_EQ(NamesOf(parts), (std::set<std::string>{"entropy", "value_loss", "value_correlation", "auxiliary"}));
  EXPECT_GT(parts["entropy"], 0);
  EXPECT_EQ(parts["value_loss"], 0);

  trainee.Run(With({{"second_token_weight", 0.5}, {"value_weight", 0.1}, {"value_start_step", 3}}), 3);
  EXPECT_EQ(trainee.Calls("cross_entropy (GEMM)"), 2);
  EXPECT_GT(trainee.Calls("value_loss"), 0);
  trainee.Run(With({{"value_weight", 0.1}, {"value_start_step", 3}}), 2);
  EXPECT_EQ(trainee.Calls("value_loss"), 0);
}

TEST(ObjectiveTest, TheTotalIsTheTermsWithTheirWeights) {
  Trainee trainee;
  const ObjectiveParts parts = trainee.Run(With({{"entropy_weight", 0.1},
                                                 {"value_weight", 0.2},
                                                 {"value_start_step", 0},
                                                 {"unlikelihood_weight", 0.3},
                                                 {"second_token_weight", 0.4},
                                                 {"small_states_weight", 0.5}}));
  EXPECT_GT(parts["unlikelihood"], 0);
  EXPECT_GT(parts["second_token"], 1);
  EXPECT_GT(parts["value_loss"], 0);
  EXPECT_NEAR(parts["small_states"], 1, 0.2);  // after a norm
  EXPECT_NEAR(parts.total,
              parts.cross_entropy - 0.1 * parts["entropy"] + 0.2 * parts["value_loss"] + 0.3 * parts["unlikelihood"] +
                  0.4 * parts["second_token"] + 0.5 * parts["small_states"],
              1e-12);
}

TEST(ObjectiveTest, AWeightFollowsTheBudget) {
  Trainee trainee;
  const Objective objective = With({{"small_states_weight", 2.0}});
  const ObjectiveParts before = trainee.Run(objective, 0, 0.49), after = trainee.Run(objective, 0, 0.5);
  EXPECT_TRUE(NamesOf(before).contains("small_states"));  // logged as 0 until it begins
  EXPECT_EQ(before["small_states"], 0);
  EXPECT_EQ(before.total, before.cross_entropy);
  EXPECT_NEAR(after.total, after.cross_entropy + 2 * after["small_states"], 1e-12);
}

// Of two micro-batches each has half of the gradient; the parts are means.
TEST(ObjectiveTest, MicroBatchesShareTheStep) {
  Trainee trainee;
  const Objective objective = With({{"entropy_weight", 0.1},
                                    {"value_weight", 0.2},
                                    {"value_start_step", 0},
                                    {"unlikelihood_weight", 0.3},
                                    {"second_token_weight", 0.4}});
  const ObjectiveParts whole = trainee.Run(objective);
  const std::vector<float> gradient = trainee.Gradients();
  const ObjectiveParts half = trainee.Run(objective, 0, 1, 2);
  const std::vector<float> half_gradient = trainee.Gradients();
  for (size_t i = 0; i < gradient.size(); ++i) {
    ASSERT_NEAR(half_gradient[i], 0.5 * gradient[i], 1e-6 + 1e-4 * std::abs(gradient[i])) << i;
  }
  ObjectiveParts mean;
  mean.AddShare(half, 2);
  mean.AddShare(half, 2);
  EXPECT_NEAR(mean.cross_entropy, whole.cross_entropy, 1e-9);
  EXPECT_NEAR(mean.total, whole.total, 1e-9);
  EXPECT_EQ(NamesOf(mean), NamesOf(whole));
  for (const ObjectiveParts::Part& part : whole.parts()) EXPECT_NEAR(mean[part.name], part.value, 1e-6) << part.name;
}

TEST(ObjectiveTest, ATermSaysWhatItNeedsOfTheModel) {
  const auto refusal = [](const Json& fields, const Json& model) -> std::string {
    try {
      With(fields).Validate(model);
    } catch (const UsageError& e) {
      return e.OneLine();
    }
    return "";
  };
  EXPECT_EQ(refusal({{"second_token_weight", 0.5}}, {{"vocab", 32}, {"second_head", true}}), "");
  EXPECT_NE(refusal({{"second_token_weight", 0.5}}, {{"vocab", 32}}).find("no second head"), std::string::npos);
  EXPECT_NE(refusal({{"small_states_weight", 1.0}}, {{"vocab", 33}}).find("not with 33"), std::string::npos);
  EXPECT_EQ(refusal(Json::object(), {{"vocab", 33}}), "");
}

TEST(ObjectiveTest, SettingsThatWouldChangeNothingAreRefusedByName) {
  const auto refusal = [](const std::vector<std::string>& keys, const Json& model) -> std::string {
    try {
      Objective().RefuseIdle(keys, model);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "";
  };
  const Json bare = {{"vocab", 32}, {"value_heads", false}}, full = {{"value_heads", true}, {"second_head", true}};
  for (const char* key : {"value_weight", "value_horizon", "value_start_step"}) {
    EXPECT_EQ(refusal({"micro_batch", key}, bare), fmt::format("train.{}: the model has no value heads", key));
    EXPECT_EQ(refusal({"micro_batch", key}, full), "");
  }
  EXPECT_EQ(refusal({"second_token_start"}, bare), "train.second_token_start: the model has no second head");
  EXPECT_EQ(refusal({"second_token_start"}, full), "");
  EXPECT_EQ(refusal({"entropy_weight", "micro_batch", "no_such_key"}, bare), "");
}

}  // namespace
}  // namespace flashlm
