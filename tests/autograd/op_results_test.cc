// What the op cases (autograd/op_case.h) cannot see: results beside the output, and the output's type.
#include <gtest/gtest.h>

#include <vector>

#include "autograd/ops.h"
#include "base/rng.h"
#include "kernels/loss/loss.h"
#include "kernels/loss/ref.h"

namespace flashlm {
namespace {

std::vector<float> Normals(int64_t n, uint64_t stream) {
  Rng rng(6, Purpose::kTest, stream);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = rng.Normal();
  return values;
}

class LossResultsTest : public testing::Test {
 protected:
  static constexpr int kRows = 4, kWidth = 6, kVocab = 7;
  static constexpr double kSoftcap = 2;

  LossResultsTest() : hidden_(Normals(kRows * kWidth, 1)) {
    head_ = bank_.Add({"head", {kVocab, kWidth}, Role::kEmbedding, Init::Normal(1)});
    bank_.Allocate(true);
    bank_.Initialize(2);
  }
  std::vector<double> Logits(int row) const {
    std::vector<double> logits;
    for (int v = 0; v < kVocab; ++v) {
      double& sum = logits.emplace_back(0);
      for (int c = 0; c < kWidth; ++c) {
        sum += double{hidden_[static_cast<size_t>(row * kWidth + c)]} * bank_.Value(head_)[v * kWidth + c];
      }
    }
    return logits;
  }

  ParamBank bank_;
  WeightPacks packs_{bank_};
  Tape tape_{bank_, packs_, DType::kF32};
  Param head_;
  std::vector<float> hidden_;
};

// Each row's own numbers, without the objective's scale and weights.
TEST_F(LossResultsTest, OfTheCrossEntropy) {
  constexpr int32_t kTargets[kRows] = {3, 0, -1, 6}, kUnlikely[kRows] = {1, -1, 2, 6};
  tape_.BeginTraining(1, kRows, 1, 1);
  const CrossEntropyResult result = CrossEntropy(
      tape_, tape_.Wrap(hidden_.data(), kRows, kWidth), head_, kTargets,
      {.softcap = kSoftcap, .entropy_weight = 0.3, .scale = 0.25, .unlikely = kUnlikely, .unlikely_weight = 0.6});
  for (int n = 0; n < kRows; ++n) {
    double nats = 0, entropy = 0, unlikelihood = 0;
    if (kTargets[n] >= 0) {
      kernels::ref::SoftmaxCrossEntropy(kSoftcap, Logits(n).data(), kTargets + n, 1, kVocab, &nats, &entropy);
      if (kUnlikely[n] >= 0) {
        unlikelihood = kernels::ref::Unlikelihood(kSoftcap, Logits(n).data(), kUnlikely[n], kVocab);
      }
    }
    EXPECT_NEAR(result.nats[n], nats, 1e-5) << n;
    EXPECT_NEAR(result.entropies[n], entropy, 1e-5) << n;
    EXPECT_NEAR(result.unlikelihoods[n], unlikelihood, 1e-5) << n;
  }
}

TEST_F(LossResultsTest, LogProbabilitiesAreThoseOfTheCrossEntropy) {
  tape_.BeginInference(1, kRows, nullptr);
  const Tensor log_p = LogProbabilities(tape_, tape_.Wrap(hidden_.data(), kRows, kWidth), head_, kSoftcap);
  for (int n = 0; n < kRows; ++n) {
    for (int32_t v = 0; v < kVocab; ++v) {
      double nats = 0, entropy = 0;
      kernels::ref::SoftmaxCrossEntropy(kSoftcap, Logits(n).data(), &v, 1, kVocab, &nats, &entropy);
      EXPECT_NEAR(log_p.f32()[n * kVocab + v], -nats, 1e-5) << n << " " << v;
    }
  }
}

// The error is unscaled, the correlation that of values and targets.
TEST_F(LossResultsTest, OfTheValueLoss) {
  constexpr int kBatch = 2, kLength = 12, kHorizon = 3;
  std::vector<float> values = Normals(kBatch * kLength, 3);
  const std::vector<float> nats = Normals(kBatch * kLength, 4);
  tape_.BeginTraining(kBatch, kLength, 1, 1);
  const ValueLossResult result =
      ValueLoss(tape_, tape_.Wrap(values.data(), kBatch * kLength, 1), nats.data(), kHorizon, 0.5);
  double correlation = 0;
  const double error =
      kernels::ValueLoss(kBatch, kLength, kHorizon, nats.data(), values.data(), 1, nullptr, &correlation);
  EXPECT_EQ(result.mean_squared_error, error);
  EXPECT_EQ(result.correlation, correlation);
  EXPECT_NE(correlation, 0);
}

// Norms give what the next product reads, or f32 where the residual stream itself passes through.
TEST(NormResultsTest, AreOfTheTypeThatWasAskedFor) {
  constexpr int kRows = 3, kWidth = 8;
  ParamBank bank;
  const Param gain = bank.Add({"gain", {kWidth}, Role::kVector, Init::Constant(1)});
  const Param bias = bank.Add({"bias", {kWidth}, Role::kVector, Init::Zero()});
  bank.Allocate(false);
  bank.Initialize(1);
  WeightPacks packs(bank);
  std::vector<float> x = Normals(kRows * kWidth, 5);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Tape tape(bank, packs, dtype);
    tape.BeginInference(1, kRows, nullptr);
    const Tensor in = tape.Wrap(x.data(), kRows, kWidth);
    EXPECT_EQ(RmsNorm(tape, in, gain).dtype, dtype);
    EXPECT_EQ(LayerNorm(tape, in, gain, bias).dtype, dtype);
    EXPECT_EQ(RmsNormF32(tape, in, gain).dtype, DType::kF32);
    EXPECT_EQ(LayerNormF32(tape, in, gain, bias).dtype, DType::kF32);
  }
}

}  // namespace
}  // namespace flashlm
