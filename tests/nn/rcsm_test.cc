#include "nn/rcsm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace flashlm {
namespace {

constexpr int kRows = 9, kChannels = 10, kWidth = 6, kOperations = 4, kSlots = 3;
constexpr Quantization kTernary{kernels::Ternary::kScaleGradient, false};

RcsmConfig Config(int depth = 0) {
  return {.channels = kChannels,
          .width = kWidth,
          .operations = kOperations,
          .slots = kSlots,
          .depth = depth,
          .quantization = kTernary};
}

// Reads the sequence's own memory three times.
RcsmConfig WithMemory(RcsmConfig config) {
  config.memory_heads = 1;
  config.memory_reads = 3;
  return config;
}

// An engine in a bank of its own, the same every time.
struct Layer {
  ParamBank bank;
  Rcsm engine;

  explicit Layer(const RcsmConfig& config, const Init& up = Init::Normal(0.5f))
      : engine(
            bank, "e", config, [](int) { return Init::Normal(0.5f); }, [&](int) { return up; }) {
    bank.Allocate(true);
    bank.Initialize(5);
  }

  // The pass `index` of a step, forward, on tokens of its own; what became of them.
  std::vector<float> Pass(uint64_t index) {
    WeightPacks packs(bank);
    Tape tape(bank, packs, DType::kF32);
    std::vector<float> h;
    Rng rng(7, Purpose::kTest, index);
    for (int i = 0; i < kRows * kChannels; ++i) h.push_back(rng.Normal());
    tape.BeginTraining(1, kRows, 1, index);
    Tensor auxiliary;
    Reasoned reasoned;
    const Tensor y = engine.Apply(tape, tape.Wrap(h.data(), kRows, kChannels), auxiliary, reasoned);
    EXPECT_EQ(auxiliary.rows * auxiliary.cols, 1);
    return {y.f32(), y.f32() + y.rows * y.cols};
  }

  std::vector<float> Slots() const {
    const ParamInfo* info = bank.Find("e.memory.slots");
    const float* slots = bank.values() + info->offset;
    return {slots, slots + info->size};
  }
};

TEST(RcsmTest, OtherDepthsAreOtherResults) {
  Layer layer(Config(1));
  const std::vector<float> once = layer.Pass(0);
  layer.engine.SetDepth(3);
  const std::vector<float> thrice = layer.Pass(0);
  EXPECT_NE(once, thrice);
  EXPECT_EQ(Layer(Config(3)).Pass(0), thrice);
  EXPECT_THROW(layer.engine.SetDepth(2), UsageError);
  EXPECT_THROW(Layer(Config(4)), UsageError);
}

TEST(RcsmTest, WithTheUpMapAtZeroTheStreamGoesOnAsItWas) {
  for (const RcsmConfig& config : {Config(), WithMemory(Config())}) {
    Layer layer(config, Init::Zero());
    Rng rng(7, Purpose::kTest, 2);
    for (const float y : layer.Pass(2)) EXPECT_EQ(y, rng.Normal());
  }
}

TEST(RcsmTest, SlotsAreWrittenAfterAnAppliedStepAlone) {
  Layer layer(Config());
  const std::vector<float> before = layer.Slots();
  layer.engine.BeginStep();
  layer.Pass(0);
  EXPECT_EQ(layer.Slots(), before);
  layer.engine.EndStep(false);
  EXPECT_EQ(layer.Slots(), before);
  layer.engine.BeginStep();
  layer.engine.EndStep(true);  // of nothing
  EXPECT_EQ(layer.Slots(), before);
  layer.engine.BeginStep();
  layer.Pass(0);
  layer.engine.EndStep(true);
  EXPECT_NE(layer.Slots(), before);
}

// slot <- 0.99 slot + 0.01 address z, both means over the step's passes.
TEST(RcsmTest, WhatIsWrittenIsTheMeanOverPasses) {
  // From slots of zero, where every address is even: what is written is then a mean of z.
  const auto after = [](const std::vector<uint64_t>& passes) {
    Layer layer(Config());
    const ParamInfo* info = layer.bank.Find("e.memory.slots");
    std::fill_n(layer.bank.values() + info->offset, info->size, 0.0f);
    layer.bank.Touch();
    layer.engine.BeginStep();
    for (const uint64_t pass : passes) layer.Pass(pass);
    layer.engine.EndStep(true);
    return layer.Slots();
  };
  const std::vector<float> first = after({4}), second = after({5}), both = after({4, 5});
  for (size_t i = 0; i < both.size(); ++i) {
    EXPECT_NE(first[i], second[i]);
    EXPECT_NEAR(both[i], (first[i] + second[i]) / 2, 1e-9);
  }
}

TEST(RcsmTest, NeitherTheOrderOfPassesNorThreadsMatter) {
  constexpr uint64_t kPasses = 8;
  const auto step = [](const auto& run) {
    Layer layer(Config());
    layer.engine.BeginStep();
    std::vector<std::vector<float>> results(kPasses);
    run([&](uint64_t pass) { results[pass] = layer.Pass(pass); });
    layer.engine.EndStep(true);
    results.push_back(layer.Slots());
    return results;
  };
  const auto in_order = step([](const auto& pass) {
    for (uint64_t i = 0; i < kPasses; ++i) pass(i);
  });
  const auto backwards = step([](const auto& pass) {
    for (uint64_t i = kPasses; i-- > 0;) pass(i);
  });
  const auto side_by_side = step([](const auto& pass) {
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < kPasses; ++i) threads.emplace_back([&pass, i] { pass(i); });
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(in_order, backwards);
  EXPECT_EQ(in_order, side_by_side);
}

// All of a token, those that its weights say among them.
double FlopsOf(const RcsmConfig& config) {
  const Layer layer(config);
  double weights = 0;
  for (const ParamInfo& info : layer.bank.infos()) {
    if (info.role == Role::kMatrix) weights += static_cast<double>(info.size);
  }
  return 6 * weights + layer.engine.FlopsBeyondWeights();
}

// Of what every token meets once, and of what it meets in each of three passes and three reads.
TEST(RcsmTest, Flops) {
  constexpr double kPass = 3 * kWidth * kWidth + kWidth * (kOperations + 2 * kSlots);
  constexpr double kOnce = 2 * kWidth * kChannels + kWidth * kWidth + 2 * kWidth * kSlots;
  constexpr double kKeysAndValues = 2 * kWidth * kWidth, kRead = 2 * kWidth * kWidth;
  EXPECT_EQ(FlopsOf(Config(3)), 6 * (kOnce + 3 * kPass));
  EXPECT_EQ(FlopsOf(WithMemory(Config(3))), 6 * (kOnce + 3 * kPass + kKeysAndValues + 3 * kRead));
}

}  // namespace
}  // namespace flashlm
