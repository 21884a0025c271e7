// v6: slots are written in training and reach neither other sequences of a step nor other requests.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"
#include "models/predict.h"
#include "models/registry.h"
#include "objective/objective.h"
#include "train/step.h"

namespace flashlm {
namespace {

constexpr int kLength = 12, kVocab = 32;

std::unique_ptr<Model> Make(int depth = 0, bool blend = true, int memory_heads = 0) {
  Json config = FindModel("v6-supernova").tiny();
  config.update(
      {{"architecture", "v6-supernova"}, {"depth", depth}, {"depth_blend", blend}, {"memory_heads", memory_heads}});
  std::unique_ptr<Model> model = MakeModel(config, /*for_training=*/true);
  model->bank().Initialize(5);
  // So large that nobody could overlook them.
  const ParamInfo* slots = model->bank().Find("rcsm.memory.slots");
  Rng rng(3, Purpose::kTest);
  for (int64_t i = 0; i < slots->size; ++i) model->bank().values()[slots->offset + i] = rng.Normal();
  model->bank().Touch();
  return model;
}

std::vector<int32_t> Tokens(int sequences, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<int32_t> tokens;
  for (int i = 0; i < sequences * kLength; ++i) tokens.push_back(static_cast<int32_t>(rng.Below(kVocab)));
  return tokens;
}

std::vector<float> SlotsOf(const Model& model) {
  const ParamInfo* slots = model.bank().Find("rcsm.memory.slots");
  return {model.bank().values() + slots->offset, model.bank().values() + slots->offset + slots->size};
}

// What training makes of each token of a pass.
std::vector<float> TrainOn(Model& model, const std::vector<int32_t>& tokens) {
  Tape tape(model.bank(), model.packs(), DType::kF32);
  tape.BeginTraining(static_cast<int>(tokens.size()) / kLength, kLength, 1, 1);
  const Prediction prediction = model.Predict(tape, tokens.data());
  std::vector<float> hidden;
  for (int n = 0; n < prediction.hidden.rows; ++n) {
    const float* row = prediction.hidden.matrix().Row<float>(n);
    hidden.insert(hidden.end(), row, row + prediction.hidden.cols);
  }
  return hidden;
}

std::vector<float> LogProbs(Model& model, const std::vector<int32_t>& tokens) {
  Tape tape(model.bank(), model.packs(), DType::kF32);
  tape.BeginInference(static_cast<int>(tokens.size()) / kLength, kLength, nullptr, kernels::RowGroups::kBlocks);
  const Tensor log_probs = LogProbabilities(tape, model.Predict(tape, tokens.data()));
  return {log_probs.f32(), log_probs.f32() + int64_t{log_probs.rows} * log_probs.cols};
}

class SupernovaMemoryTest : public testing::TestWithParam<int> {};  // heads of a memory of the sequence
INSTANTIATE_TEST_SUITE_P(Heads, SupernovaMemoryTest, testing::Values(0, 2));

TEST_P(SupernovaMemoryTest, SequencesOfAStepDoNotReachEachOther) {
  const auto model = Make(0, true, GetParam());
  const std::vector<int32_t> own = Tokens(1, 1);
  std::vector<std::vector<float>> results;
  for (const uint64_t neighbour : {2, 3}) {
    std::vector<int32_t> both = own;
    const std::vector<int32_t> other = Tokens(1, neighbour);
    both.insert(both.end(), other.begin(), other.end());
    model->BeginStep();
    std::vector<float> hidden = TrainOn(*model, both);
    hidden.resize(hidden.size() / 2);
    results.push_back(hidden);
    const std::vector<float> before = SlotsOf(*model);
    model->EndStep(false);
    EXPECT_EQ(SlotsOf(*model), before);
  }
  EXPECT_EQ(results[0], results[1]);
}

// slot <- 0.99 slot + 0.01 (mean address) (mean z): written, by means over the whole step, and seen from the next on.
TEST(SupernovaTest, WhatAStepWritesIsSeenByTheNext) {
  const auto model = Make();
  const std::vector<int32_t> tokens = Tokens(3, 1);
  const std::vector<float> before = TrainOn(*model, tokens), slots = SlotsOf(*model);
  model->BeginStep();
  EXPECT_EQ(TrainOn(*model, tokens), before);
  model->EndStep(true);
  EXPECT_NE(SlotsOf(*model), slots);
  EXPECT_NE(TrainOn(*model, tokens), before);
}

TEST_P(SupernovaMemoryTest, RequestsLeaveNothingBehind) {
  for (const int depth : {0, 8}) {
    const auto model = Make(depth, true, GetParam());
    const std::vector<float> slots = SlotsOf(*model);
    const std::vector<int32_t> request = Tokens(1, 1);
    const std::vector<float> alone = LogProbs(*model, request);
    for (uint64_t other = 2; other < 6; ++other) LogProbs(*model, Tokens(4, other));
    EXPECT_EQ(LogProbs(*model, request), alone);
    EXPECT_EQ(SlotsOf(*model), slots);
  }
}

// --- depth ---

TEST(SupernovaTest, TellsWhatItsTokensDid) {
  const auto model = Make();
  Tape tape(model->bank(), model->packs(), DType::kF32);
  const std::vector<int32_t> tokens = Tokens(16, 1);
  tape.BeginTraining(16, kLength, 1, 1);
  const Reasoned reasoned = model->Predict(tape, tokens.data()).reasoned;
  std::vector<int> count(9);
  for (int n = 0; n < 16 * kLength; ++n) ++count[static_cast<size_t>(reasoned.depths[n])];
  EXPECT_EQ(count[1] + count[3] + count[8], 16 * kLength);
  for (const int depth : {1, 3, 8}) EXPECT_GT(count[static_cast<size_t>(depth)], 10);
  model->SetDepth(3);
  EXPECT_EQ(model->Depth(), 3);
  tape.BeginInference(16, kLength, nullptr);
  const int32_t* forced = model->Predict(tape, tokens.data()).reasoned.depths;
  EXPECT_TRUE(std::all_of(forced, forced + 16 * kLength, [](int32_t passes) { return passes == 3; }));
}

// A token that chooses ends, without the blend, as it would have at that depth in inference.
TEST(SupernovaTest, WithoutTheBlendTrainingEndsWhereInferenceDoes) {
  const auto model = Make(0, /*blend=*/false);
  const std::vector<int32_t> tokens = Tokens(4, 1);
  Tape tape(model->bank(), model->packs(), DType::kF32);
  tape.BeginTraining(4, kLength, 1, 1);
  const Prediction chosen = model->Predict(tape, tokens.data());
  std::vector<int32_t> depths(chosen.reasoned.depths, chosen.reasoned.depths + 4 * kLength);
  const std::vector<float> hidden = TrainOn(*model, tokens);
  const size_t width = hidden.size() / depths.size();
  size_t seen = 0;
  for (const int depth : {1, 3, 8}) {
    model->SetDepth(depth);
    const std::vector<float> forced = TrainOn(*model, tokens);
    for (size_t n = 0; n < depths.size(); ++n) {
      if (depths[n] != depth) continue;
      ++seen;
      for (size_t c = 0; c < width; ++c) ASSERT_EQ(hidden[n * width + c], forced[n * width + c]) << n;
    }
  }
  EXPECT_EQ(seen, depths.size());
}

// Trained on nothing else, the classifier's most probable depth becomes the one that gains most at its price.
TEST(SupernovaTest, TheChoiceOfDepthLearnsWhatDeeperPassesGain) {
  const auto model = Make(0, /*blend=*/false);
  ParamBank& bank = model->bank();
  TrainConfig train;
  train.sequence_length = kLength;
  train.micro_batch = 32;
  train.accumulate = 1;
  train.spike_factor = 0;
  OptimConfig optim;
  optim.lr = 3e-3;
  const std::vector<int32_t> tokens = Tokens(32, 1), targets = Tokens(32, 2);
  double at_no_cost = 0;  // passes of a token
  for (const double cost : {0.0, 1.0}) {
    bank.Initialize(5);
    FieldsFromJson({{"depth_weight", 1.0}, {"depth_cost", cost}, {"depth_every", 1}, {"value_weight", 0.0}}, "train",
                   train);
    TrainingStep step(*model, optim, train, DType::kF32, 1);
    std::vector<FrozenRange> others;
    for (const ParamInfo& info : bank.infos()) {
      if (info.name != "rcsm.depth_ctrl.classifier.weight") others.push_back({info.offset, info.offset + info.size});
    }
    step.Freeze(others);
    StepOutcome outcome;
    for (int i = 0; i < 300; ++i) outcome = step.Run(i, tokens.data(), targets.data(), 1.0);
    const double best = std::min(
        {outcome.parts["nats_at_depth.1"], outcome.parts["nats_at_depth.3"], outcome.parts["nats_at_depth.8"]});
    EXPECT_EQ(model->Depth(), 0) << "measuring puts it back";
    Tape tape(bank, model->packs(), DType::kF32);
    tape.BeginInference(32, kLength, nullptr);
    const Prediction prediction = model->Predict(tape, tokens.data());
    const CrossEntropyResult loss = NextTokenLoss(tape, prediction, targets.data(), {});
    double nats = 0, passes = 0;
    for (int n = 0; n < 32 * kLength; ++n) {
      nats += loss.nats[n] / (32 * kLength);
      passes += static_cast<double>(prediction.reasoned.depths[n]) / (32 * kLength);
    }
    if (cost == 0) {
      EXPECT_LT(nats, best + 0.02) << "passes " << passes;
      at_no_cost = passes;
    } else {
      EXPECT_LT(passes, at_no_cost / 2) << "nothing is worth a nat";
    }
  }
}

}  // namespace
}  // namespace flashlm
