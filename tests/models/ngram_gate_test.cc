// The gate between a network and what was counted: what it learns to trust, and what it refuses.
#include "models/ngram_gate.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/rng.h"
#include "models/predict.h"
#include "models/registry.h"
#include "ngram/ngram_counts.h"
#include "train/step.h"

namespace flashlm {
namespace {

constexpr int kVocab = 32, kEos = 3, kBatch = 4, kLength = 24;

Json Config() {
  Json config = FindModel("gpt").tiny();
  config["architecture"] = "gpt";
  config["ngram_order"] = 4;
  return config;
}

// Documents of random tokens: what was counted in one says nothing of another, but all of its own.
std::vector<uint16_t> RandomStream(int documents, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<uint16_t> stream;
  for (int d = 0; d < documents; ++d) {
    for (int i = 0; i < 23; ++i) stream.push_back(static_cast<uint16_t>(4 + rng.Below(kVocab - 4)));
    stream.push_back(kEos);
  }
  return stream;
}

NGramOptions Options() {
  NGramOptions options;
  options.order = 4;
  options.vocab = kVocab;
  options.eos = kEos;
  return options;
}

struct Learned {
  double weight;              // mean gate of the last steps
  double training, held_out;  // nats per token
};

// Trains on documents, one in each row, with or without their own counts left out.
Learned Train(bool leave_out) {
  const std::vector<uint16_t> stream = RandomStream(200, 1), others = RandomStream(kBatch, 2);
  const std::unique_ptr<Model> model = MakeModel(Config(), true);
  model->bank().Initialize(1);
  const NGramCounts counts(stream, Options());
  model->SetNGrams(std::make_shared<NGramModel>(counts.Pack()),
                   leave_out ? std::make_shared<LeftOut>(counts.LeaveDocumentsOut()) : nullptr);
  OptimConfig optim;
  optim.lr = 1e-2;
  optim.vector_lr = 0.015 / model->bank().Find("ngram.gate.weight")->lr_scale;  // fast enough for so few steps
  TrainConfig train;
  train.micro_batch = kBatch;
  train.accumulate = 1;
  train.sequence_length = kLength;
  train.spike_factor = 0;
  TrainingStep step(*model, optim, train, DType::kF32, 1);
  std::vector<int32_t> inputs(kBatch * kLength), targets(inputs.size());
  std::vector<int64_t> positions(inputs.size());
  const auto read = [&](const std::vector<uint16_t>& from, int first) {
    for (int i = 0; i < kBatch * kLength; ++i) {
      const auto at = static_cast<size_t>(i);
      positions[at] = int64_t{first} * kLength + i;
      targets[at] = from[static_cast<size_t>(positions[at])];
      inputs[at] = i % kLength == 0 ? kEos : targets[at - 1];
    }
  };
  Learned learned{};
  constexpr int kSteps = 150, kLast = 20;
  for (int s = 0; s < kSteps; ++s) {
    read(stream, s * kBatch % 200);
    const ObjectiveParts parts = step.Run(s, inputs.data(), targets.data(), 1.0, 0, positions.data()).parts;
    if (s < kSteps - kLast) continue;
    learned.weight += parts["ngram_weight"] / kLast;
    learned.training += parts.cross_entropy / kLast;
  }
  read(others, 0);
  Tape tape(model->bank(), model->packs(), DType::kF32);
  tape.BeginInference(kBatch, kLength, nullptr);
  const CrossEntropyResult loss = NextTokenLoss(tape, model->Predict(tape, inputs.data()), targets.data(), {});
  for (size_t i = 0; i < targets.size(); ++i) learned.held_out += loss.nats[i] / static_cast<double>(targets.size());
  return learned;
}

TEST(NGramGateTest, WithItsOwnDocumentsLeftOutItTrustsWhatHoldsElsewhere) {
  const Learned left_out = Train(true), left_in = Train(false);
  const double nothing_known = std::log(kVocab - 4);
  // Left in, the counts know every answer and are trusted, and that does not hold on other text.
  EXPECT_GT(left_in.weight, 0.9);
  EXPECT_LT(left_in.training, 0.5 * nothing_known);
  EXPECT_GT(left_in.held_out, nothing_known + 0.15);
  // Left out, training says what other text will say: there is nothing to know.
  EXPECT_GT(left_out.training, 0.95 * nothing_known);
  EXPECT_LT(std::abs(left_out.held_out - left_out.training), 0.15);
  EXPECT_LT(left_out.held_out, left_in.held_out - 0.1);
}

// In training on the stream that was counted nothing is asked of the model that has seen the answers.
TEST(NGramGateTest, PositionsBeyondWhatWasCountedAreReadAsAnyText) {
  const std::vector<uint16_t> stream = RandomStream(6, 1);
  const std::unique_ptr<Model> model = MakeModel(Config(), true);
  model->bank().Initialize(1);
  const NGramCounts counts(std::span<const uint16_t>(stream).first(3 * kLength), Options());
  const auto counted = std::make_shared<NGramModel>(counts.Pack());
  const auto left_out = std::make_shared<LeftOut>(counts.LeaveDocumentsOut());
  model->SetNGrams(counted, left_out);
  std::vector<int32_t> inputs(4 * kLength);
  std::vector<int64_t> positions(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    positions[i] = static_cast<int64_t>(i) + kLength;
    inputs[i] = i % kLength == 0 ? kEos : stream[static_cast<size_t>(positions[i] - 1)];
  }
  // At first the gate is 0 whatever it hears; here each feature weighs something.
  float* weights = model->bank().values() + model->bank().Find("ngram.gate.features")->offset;
  for (int i = 0; i < FeatureColumns(4); ++i) weights[i] = 0.3f - 0.1f * static_cast<float>(i);
  Tape tape(model->bank(), model->packs(), DType::kF32);
  tape.BeginTraining(4, kLength, 1, 1);
  const NGramOpinion opinion = model->Predict(tape, inputs.data(), positions.data()).ngram;
  NGramContext context = counted->Start();
  for (int n = 0; n < 4 * kLength; ++n) {
    if (n % kLength == 0) context = counted->Start();
    context = counted->Advance(context, inputs[static_cast<size_t>(n)]);
    const int64_t position = positions[static_cast<size_t>(n)];
    const int32_t target = stream[static_cast<size_t>(position)];
    EXPECT_EQ(opinion.LogProbability(n, target), position < 3 * kLength
                                                     ? left_out->LogProbability(position)
                                                     : std::log(counted->Probability(context, target)));
    std::array<ContextFeatures, 3> read;
    counted->Features(context, read.data());
    std::array<float, 10> row;
    ExpandFeatures(position < 3 * kLength ? left_out->Features(position) : read.data(), 4, row.data());
    EXPECT_NEAR(*opinion.gates.matrix().Row<float>(n), std::inner_product(row.begin(), row.end(), weights, 0.0f), 1e-5)
        << "row " << n;
  }
}

TEST(NGramGateTest, WhatWasCountedOtherwiseIsRefused) {
  const std::vector<uint16_t> stream = RandomStream(6, 1);
  NGramOptions options = Options();
  Json config = Config();
  const auto refused = [&] {
    const std::unique_ptr<Model> model = MakeModel(config, false);
    EXPECT_THROW(model->SetNGrams(std::make_shared<NGramModel>(NGramCounts(stream, options).Pack())), Error);
  };
  options.order = 3;
  refused();
  options.order = 4;
  options.vocab = kVocab + 1;
  refused();
  options.vocab = kVocab;
  config["ngram_sha256"] = std::string(64, '0');
  refused();
  config["ngram_sha256"] = NGramCounts(stream, options).Pack().checksum();
  MakeModel(config, false)->SetNGrams(std::make_shared<NGramModel>(NGramCounts(stream, options).Pack()));
  config["ngram_order"] = 1;
  EXPECT_THROW(MakeModel(config, false), UsageError);
}

// A configuration that does not ask for them is what it was.
TEST(NGramGateTest, WithoutThemNothingChanges) {
  Json config = FindModel("gpt").tiny();
  config["architecture"] = "gpt";
  const std::unique_ptr<Model> plain = MakeModel(config, true), with = MakeModel(Config(), true);
  EXPECT_EQ(plain->ngram(), nullptr);
  for (const auto& item : plain->config().items()) EXPECT_FALSE(item.key().starts_with("ngram")) << item.key();
  plain->bank().Initialize(1);
  with->bank().Initialize(1);
  EXPECT_TRUE(std::equal(plain->bank().values(), plain->bank().values() + plain->bank().size(), with->bank().values()));
  config["ngram_order"] = 0;
  EXPECT_EQ(MakeModel(config, false)->config(), plain->config());
}

}  // namespace
}  // namespace flashlm
