// Training whose matrix products are of int8 (docs/spec/integers.md), for every architecture beside that of floats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

#include "autograd/linear_product.h"
#include "autograd/ops.h"
#include "base/parallel.h"
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

// The gradient of one micro-batch. `draw`: what dropout and rounding draw from; `activation`: model.activation of those
// that have it.
Pass OnePass(const ModelEntry& entry, bool int8, uint64_t draw, const char* activation = "none") {
  Json config = entry.tiny();
  config["architecture"] = entry.name;
  if (config.contains("activation")) config["activation"] = activation;
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
  for (const char* activation : {"none", "int8"}) {
    if (std::string_view(activation) == "int8" && !entry.tiny().contains("activation")) continue;
    const Pass of_floats = OnePass(entry, false, 1, activation), of_int8 = OnePass(entry, true, 1, activation);
    EXPECT_NEAR(of_int8.cross_entropy, of_floats.cross_entropy, 0.01 * of_floats.cross_entropy);
    const double error = RelativeError(of_int8.gradient, of_floats.gradient);
    RecordProperty(fmt::format("relative_error_{}", activation), fmt::format("{:.4f}", error));
    // nova-moe enlarges it: differences of two attentions that are divided by their size, and tokens near the border of
    // two experts.
    EXPECT_LT(error, std::string_view(entry.name) == "nova-moe" ? 0.2 : 0.1) << activation;
    EXPECT_GT(error, 1e-5) << activation;  // it was in int8
    EXPECT_EQ(OnePass(entry, true, 1, activation).gradient, of_int8.gradient) << activation;
  }
}

TEST(Int8Products, ThreadsChangeNoBit) {
  const int threads = ThreadCount();
  SetThreadCount(1);
  const Pass alone = OnePass(FindModel("gpt"), true, 1);
  SetThreadCount(3);
  EXPECT_EQ(OnePass(FindModel("gpt"), true, 1).gradient, alone.gradient);
  SetThreadCount(threads);
}

// A head over hidden states that are parameters themselves, rows of a table: all integers times 1/127, the largest of
// every row and of the head's columns 127, so that nothing but the logits' gradient and the columns of hidden states is
// rounded. The first two rows are alike, and every fifth has no target.
class Head {
 public:
  static constexpr int kRows = 300, kVocab = 50, kWidth = 16;

  Head() {
    table_ = bank_.Add({.name = "hidden", .shape = {kRows, kWidth}, .init = {}});
    head_ = bank_.Add({.name = "head", .shape = {kVocab, kWidth}, .init = {}});
    bank_.Allocate(true);
    Rng rng(3, Purpose::kTest);
    for (int64_t i = 0; i < bank_.size(); ++i) {
      const bool largest = i % kWidth == i / kWidth % kWidth;
      bank_.values()[i] = (largest ? 127.0f : static_cast<float>(rng.Below(255)) - 127) / 127;
    }
    std::copy_n(bank_.values(), kWidth, bank_.values() + kWidth);
    bank_.Touch();
    for (int n = 0; n < kRows; ++n) {
      rows_.push_back(n);
      targets_.push_back(n % 5 == 4 ? -1 : n < 2 ? 7 : n * 11 % kVocab);
      unlikely_.push_back(n % 7 == 3 ? n * 13 % kVocab : -1);
    }
  }
  // Of both, hidden states first.
  std::vector<float> Gradient(bool int8, uint64_t draw) {
    std::fill_n(bank_.gradients(), bank_.size(), 0.0f);
    WeightPacks packs(bank_);
    Tape tape(bank_, packs, DType::kF32);
    tape.SetInt8Training(int8);
    tape.BeginTraining(1, kRows, 1, draw);
    const Tensor hidden = Embedding(tape, rows_.data(), table_);
    CrossEntropy(tape, hidden, head_, targets_.data(),
                 {.softcap = 4, .scale = 1.0 / kRows, .unlikely = unlikely_.data(), .unlikely_weight = 0.5});
    tape.Backward();
    return {bank_.gradients(), bank_.gradients() + bank_.size()};
  }

 private:
  ParamBank bank_;
  Param table_, head_;
  std::vector<int32_t> rows_, targets_, unlikely_;
};

TEST(Int8Products, TheHeadIsThatOfFloatsForEveryKindOfRow) {
  Head head;
  const std::vector<float> floats = head.Gradient(false, 1), int8 = head.Gradient(true, 1);
  EXPECT_LT(RelativeError(int8, floats), 0.03);
  EXPECT_GT(RelativeError(int8, floats), 1e-5);
  for (int c = 0; c < Head::kWidth; ++c) EXPECT_EQ(int8[4 * Head::kWidth + c], 0) << c;  // of a row without a target
  // Rows draw apart: what is alike is not rounded alike.
  EXPECT_FALSE(std::equal(int8.begin(), int8.begin() + Head::kWidth, int8.begin() + Head::kWidth));
}

// Logits' gradient and hidden states draw apart: did they share numbers, where word and column of the hidden state have
// one index their errors would agree, and the average would keep them.
TEST(Int8Products, ChanceOfTheHeadLeavesNoErrorOnAverage) {
  constexpr int kDraws = 2000;
  Head head;
  std::vector<double> sums;
  for (int draw = 0; draw < kDraws; ++draw) {
    const std::vector<float> gradient = head.Gradient(true, draw);
    sums.resize(gradient.size());
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += gradient[i] / kDraws;
  }
  const std::vector<float> floats = head.Gradient(false, 1);
  double same = 0, other = 0;  // mean squares of what is left in the head's gradient
  for (int v = 0; v < Head::kWidth; ++v) {
    for (int c = 0; c < Head::kWidth; ++c) {
      const auto i = static_cast<size_t>(Head::kRows * Head::kWidth + v * Head::kWidth + c);
      const double square = std::pow(sums[i] - floats[i], 2);
      if (v == c) {
        same += square / Head::kWidth;
      } else {
        other += square / (Head::kWidth * (Head::kWidth - 1));
      }
    }
  }
  EXPECT_LT(std::sqrt(same), 1.4 * std::sqrt(other));
  // An average of independent draws is off by 1 / sqrt(2,000) of what each is.
  EXPECT_LT(RelativeError({sums.begin(), sums.end()}, floats), 0.1 * RelativeError(head.Gradient(true, 1), floats));
}

TEST(Int8Products, TheHeadRoundsByChance) {
  EXPECT_NE(OnePass(FindModel("gpt"), true, 2).gradient, OnePass(FindModel("gpt"), true, 1).gradient);
}

// What is rounded of a ternary map are its inputs and the gradient of its outputs, here integers already (times the
// trits' scale): both products are exact. The same weights rounded as those of a float map, 127 steps for the largest
// of a column, would be wrong by up to 0.5 / 127.
TEST(Int8Products, TritsAreNotRounded) {
  constexpr int kTokens = 5, kIn = 16, kOut = 3;
  constexpr float kScales[kOut] = {0.5f, 0.25f, 1.0f};
  ParamBank bank;
  const Param weight =
      bank.Add({.name = "w", .shape = {kOut, kIn}, .init = {}, .quantization = {kernels::Ternary::kRow, false}});
  bank.Allocate(true);
  Rng rng(1, Purpose::kTest);
  for (int i = 0; i < kOut * kIn; ++i) bank.values()[i] = rng.Below(2) == 0 ? kScales[i / kIn] : -kScales[i / kIn];
  bank.Touch();
  const auto integer = [&](int i) { return i == 0 ? 127.0f : static_cast<float>(rng.Below(255)) - 127; };
  std::vector<float> x, dy;
  for (int n = 0; n < kTokens; ++n) {
    for (int i = 0; i < kIn; ++i) x.push_back(integer(i));
    for (int o = 0; o < kOut; ++o) dy.push_back(integer(o) / kScales[o]);
  }
  std::vector<float> results[2];
  for (const bool int8 : {false, true}) {
    WeightPacks packs(bank);
    Tape tape(bank, packs, DType::kF32);
    tape.SetInt8Training(int8);
    tape.BeginTraining(1, kTokens, 1, 1);
    std::vector<float>& result = results[int8 ? 1 : 0];
    result.resize(kTokens * (kOut + kIn));
    const kernels::Matrix of_x{x.data(), DType::kF32, kTokens, kIn, kIn};
    const kernels::Matrix of_dy{dy.data(), DType::kF32, kTokens, kOut, kOut};
    const LinearInput input = ReadForLinear(tape, weight.quantization, of_x);
    MultiplyLinear(tape, weight, input, {result.data(), DType::kF32, kTokens, kOut, kOut}, kTokens);
    MultiplyLinearGrad(tape, weight, input, of_dy, {result.data() + kTokens * kOut, DType::kF32, kTokens, kIn, kIn},
                       false);
  }
  for (size_t i = 0; i < results[0].size(); ++i) EXPECT_NEAR(results[1][i], results[0][i], 1e-3) << i;
}

INSTANTIATE_TEST_SUITE_P(Architectures, Int8ProductsOf, testing::ValuesIn(RegisteredModels()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace flashlm
