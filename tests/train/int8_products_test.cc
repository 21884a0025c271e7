// Training whose matrix products are of int8 (docs/spec/integers.md), for every architecture beside that of floats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/rng.h"
#include "kernels/isa.h"
#include "models/registry.h"
#include "train/step.h"

namespace flashlm {
namespace {

constexpr int kBatch = 4, kLength = 40;

struct Pass {
  std::vector<float> gradient;
  double cross_entropy;
};

// The gradient of one micro-batch. `draw`: what dropout and rounding draw from.
Pass OnePass(const ModelEntry& entry, bool int8, uint64_t draw) {
  Json config = entry.tiny();
  config["architecture"] = entry.name;
  const std::unique_ptr<Model> model = MakeModel(config, /*for_training=*/true);
  model->bank().Initialize(5);
  Rng rng(9, Purpose::kTest);
  ParamBank& bank = model->bank();
  for (int64_t i = 0; i < bank.size(); ++i) bank.values()[i] += 0.02f * rng.Normal();  // what begins at zero as well
  bank.Touch();
  std::vector<int32_t> inputs, targets;
  for (int i = 0; i < kBatch * kLength; ++i) {
    inputs.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab()))));
    targets.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model->vocab()))));
  }
  Tape tape(bank, model->packs(), DType::kF32);
  tape.SetInt8Training(int8);
  tape.BeginTraining(kBatch, kLength, 1, draw);
  const Prediction prediction = model->Predict(tape, inputs.data(), nullptr);
  const ObjectiveParts parts = Objective().Add(tape, prediction, inputs.data(), targets.data(), 0, 0, 1);
  tape.Backward();
  return {{bank.gradients(), bank.gradients() + bank.size()}, parts.cross_entropy};
}

double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

class Int8ProductsOf : public testing::TestWithParam<ModelEntry> {};

TEST_P(Int8ProductsOf, GradientsAreThoseOfFloatsButForRounding) {
  const ModelEntry& entry = GetParam();
  const Pass of_floats = OnePass(entry, false, 1), of_int8 = OnePass(entry, true, 1);
  EXPECT_NEAR(of_int8.cross_entropy, of_floats.cross_entropy, 0.01 * of_floats.cross_entropy);
  const double error = RelativeError(of_int8.gradient, of_floats.gradient);
  RecordProperty("relative_error", fmt::format("{:.4f}", error));
  EXPECT_LT(error, 0.1);
  EXPECT_GT(error, 1e-5);  // it was in int8
  EXPECT_EQ(OnePass(entry, true, 1).gradient, of_int8.gradient);
}

TEST(Int8Products, TheHeadRoundsByChance) {
  EXPECT_NE(OnePass(FindModel("gpt"), true, 2).gradient, OnePass(FindModel("gpt"), true, 1).gradient);
}

INSTANTIATE_TEST_SUITE_P(Architectures, Int8ProductsOf, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace flashlm
