// The loss and the optimiser of examples/, which are linked into this program as CONTRIBUTING.md says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/rng.h"
#include "io/bank_files.h"
#include "models/presets.h"
#include "models/registry.h"
#include "tests/train/tiny_training.h"
#include "train/step.h"

namespace flashlm {
namespace {

struct Batch {
  std::vector<int32_t> inputs, targets;
  Batch(int64_t tokens, int vocab) {
    Rng rng(9, Purpose::kTest);
    for (auto* ids : {&inputs, &targets}) {
      for (int64_t i = 0; i < tokens; ++i)
        ids->push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab))));
    }
  }
};

TEST(ExamplesTest, TheLossHasTheGradientOfItsValue) {
  constexpr int kSequences = 2, kLength = 10;
  const std::unique_ptr<Model> model = TinyForTraining("gpt");
  ParamBank& bank = model->bank();
  const Batch batch(kSequences * kLength, model->vocab());
  Tape tape(bank, model->packs(), DType::kF32);
  const auto run = [&](double weight, int micro_batches) {
    Objective objective;
    FieldsFromJson({{"steady_states_weight", weight}}, "train", objective);
    std::fill_n(bank.gradients(), bank.size(), 0.0f);
    tape.BeginTraining(kSequences, kLength, 1, 1);
    const Prediction prediction = model->Forward(tape, batch.inputs.data());
    const ObjectiveParts parts =
        objective.Add(tape, prediction, batch.inputs.data(), batch.targets.data(), 0, 1.0, micro_batches);
    tape.Backward();
    return parts;
  };
  const ObjectiveParts without = run(0, 1);
  EXPECT_EQ(without.total, without.cross_entropy);
  const std::vector<float> plain(bank.gradients(), bank.gradients() + bank.size());
  const ObjectiveParts parts = run(3, 1);
  EXPECT_GT(parts["steady_states"], 0.1);
  EXPECT_NEAR(parts.total, without.total + 3 * parts["steady_states"], 1e-9);

  std::vector<float> gradient(bank.gradients(), bank.gradients() + bank.size());
  run(3, 2);
  for (size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(bank.gradients()[i], gradient[i] / 2, 1e-6);

  // The term's own gradient, and the slope of its value along it.
  double square = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] -= plain[i];
    square += gradient[i] * gradient[i];
  }
  const std::vector<float> at(bank.values(), bank.values() + bank.size());
  double sides[2];
  const double step = 2e-3 / square;
  for (int side = 0; side < 2; ++side) {
    for (size_t i = 0; i < at.size(); ++i) {
      bank.values()[i] = static_cast<float>(at[i] + (side == 0 ? step : -step) * gradient[i]);
    }
    bank.Touch();
    sides[side] = 3 * run(3, 1)["steady_states"];
  }
  EXPECT_NEAR((sides[0] - sides[1]) / (2 * step) / square, 1, 2e-3);
}

TEST(ExamplesTest, TheOptimiserFollowsItsDefinition) {
  ParamBank bank;
  bank.Add({.name = "w", .shape = {5, 7}, .init = Init::Normal(1)});
  bank.Add({.name = "gain", .shape = {3}, .role = Role::kVector, .init = Init::Normal(1)});
  bank.Allocate(true);
  bank.Initialize(2);
  OptimConfig config;
  FieldsFromJson({{"optimizer", "lion"}, {"lr", 0.01}, {"weight_decay", 0.5}, {"clip", 1.0}}, "optim", config);
  Optimizer optimizer(config, bank);
  EXPECT_EQ(StateSize(config, bank), 38);
  std::vector<double> values(bank.values(), bank.values() + bank.size()), m(values.size(), 0.0);
  Rng rng(3, Purpose::kTest);
  for (int update = 1; update <= 5; ++update) {
    for (const ParamInfo& info : bank.infos()) {
      for (int64_t i = 0; i < info.size; ++i) bank.gradients()[info.offset + i] = rng.Normal();
    }
    const double norm = optimizer.GradientNorm();
    for (const ParamInfo& info : bank.infos()) {
      const double decay = info.role == Role::kMatrix ? 0.5 : 0;
      for (auto i = static_cast<size_t>(info.offset); i < static_cast<size_t>(info.offset + info.size); ++i) {
        const double g = bank.gradients()[i] / (norm + 1e-6), u = 0.9 * m[i] + 0.1 * g;
        values[i] = values[i] * (1 - 0.01 * decay) - 0.01 * (u > 0 ? 1 : -1);
        m[i] = 0.99 * m[i] + 0.01 * g;
      }
    }
    optimizer.Update(norm, 1, update);
    for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(bank.values()[i], values[i], 1e-6) << update;
  }
}

// What a rule remembers is saved and read back without its doing: two steps, a checkpoint, two steps are four steps.
TEST(ExamplesTest, EveryRuleGoesOnBitForBit) {
  const std::string folder = testing::TempDir();
  std::vector<Json> rules;
  for (const std::string& rule : Registry<UpdateRule>::Names()) rules.push_back({{"optimizer", rule}});
  // and with all that they can do
  Json options = {{"cautious_decay", true}, {"embedding_decay", 0.1}, {"decay_schedule", "dip"}};
  options["optimizer"] = "adamw";
  rules.push_back(options);
  options.update(Json{{"optimizer", "muon"}, {"muon_form", "aol"}, {"muon_gram", true}, {"muon_beta2", 0.9}});
  options.update(Json{{"muon_equal_rows", true}, {"muon_momentum_warmup", 0.5}, {"muon_momentum_cooldown", 0.5}});
  rules.push_back(options);
  for (const Json& rule : rules) {
    OptimConfig optim;
    FieldsFromJson(rule, "optim", optim);
    TrainConfig train;
    train.sequence_length = 12;
    train.micro_batch = 2;
    train.accumulate = 1;
    const std::unique_ptr<Model> whole = TinyForTraining("gpt"), resumed = TinyForTraining("gpt");
    const Batch batch(train.TokensPerStep(), whole->vocab());
    const auto run = [&](TrainingStep& step, int from, int to) {
      for (int s = from; s < to; ++s) step.Run(s, batch.inputs.data(), batch.targets.data(), 1.0, s / 4.0);
    };
    TrainingStep step(*whole, optim, train, DType::kF32, 1);
    run(step, 0, 2);
    SaveValues(folder + "/values", whole->bank());
    SaveState(folder + "/state", whole->bank(), step.optimizer().state());
    TrainingStep other(*resumed, optim, train, DType::kF32, 1);
    LoadValues(folder + "/values", resumed->bank());
    LoadState(folder + "/state", resumed->bank(), other.optimizer().state());
    other.state() = step.state();
    run(step, 2, 4);
    run(other, 2, 4);
    const float *a = whole->bank().values(), *b = resumed->bank().values();
    EXPECT_TRUE(std::equal(a, a + whole->bank().size(), b)) << rule.dump();
  }
}

TEST(ExamplesTest, TheirPresetTrains) {
  const std::string path = std::string(FLASHLM_SOURCE_DIR) + "/examples/gpt-lion.toml";
  RunConfig config = RunConfig::FromDocument(LoadPreset(path), path);
  EXPECT_EQ(config.optim.optimizer, "lion");
  const std::unique_ptr<Model> model = TinyForTraining("gpt");
  config.train.sequence_length = 12;
  config.train.micro_batch = 2;
  config.train.accumulate = 2;
  TrainingStep step(*model, config.optim, config.train, DType::kF32, 1);
  const Batch batch(config.train.TokensPerStep(), model->vocab());
  double first = 0, last = 0;
  for (int s = 0; s < 40; ++s) {
    last = step.Run(s, batch.inputs.data(), batch.targets.data(), 1.0).parts.total;
    if (s == 0) first = last;
  }
  EXPECT_LT(last, first - 0.1);
}

}  // namespace
}  // namespace flashlm
