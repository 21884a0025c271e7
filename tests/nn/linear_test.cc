#include "nn/linear.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "nn/heads.h"

namespace flashlm {
namespace {

const Init kNormal = Init::Normal(0.3f);

TEST(AddLinearTest, MapsOfOneInputShareAHandleAndKeepTheirNames) {
  ParamBank bank;
  bank.Add({"before", {5}, Role::kVector, Init::Zero()});
  const Quantization ternary{kernels::Ternary::kRow, true};
  const Param all = AddLinear(bank, {{"qkv", 6, kNormal, 3}, {"gate", 1, Init::Zero()}}, 7, ternary);
  EXPECT_EQ(all.offset, 16);
  EXPECT_EQ(all.rows, 7);
  EXPECT_EQ(all.cols, 7);
  EXPECT_EQ(all.quantization, ternary);
  const ParamInfo *qkv = bank.Find("qkv.weight"), *gate = bank.Find("gate.weight");
  ASSERT_TRUE(qkv != nullptr && gate != nullptr);
  EXPECT_EQ(qkv->shape, (std::vector{6, 7}));
  EXPECT_EQ(gate->shape, (std::vector{1, 7}));
  EXPECT_EQ(gate->offset, qkv->offset + 42);
  EXPECT_EQ(qkv->stacked, 3);
  EXPECT_EQ(gate->stacked, 1);
  EXPECT_EQ(qkv->role, Role::kMatrix);
  EXPECT_EQ(gate->quantization, ternary);
}

// One product of the joint handle is the products of its parts side by side.
TEST(AddLinearTest, TheJointProductIsThatOfItsParts) {
  constexpr int kRows = 3, kIn = 8;
  ParamBank bank;
  const Param all = AddLinear(bank, {{"a", 5, kNormal}, {"b", 4, kNormal}}, kIn);
  bank.Allocate(false);
  bank.Initialize(2);
  WeightPacks packs(bank);
  Tape tape(bank, packs, DType::kF32);
  std::vector<float> x;
  for (int i = 0; i < kRows * kIn; ++i) x.push_back(0.1f * static_cast<float>(i));
  tape.BeginInference(1, kRows, nullptr);
  const Tensor y = Linear(tape, tape.Wrap(x.data(), kRows, kIn), all);
  ASSERT_EQ(y.cols, 9);
  for (int r = 0; r < kRows; ++r) {
    for (int o = 0; o < 9; ++o) {
      const ParamInfo& part = *bank.Find(o < 5 ? "a.weight" : "b.weight");
      const float* w = bank.values() + part.offset + (o < 5 ? o : o - 5) * kIn;
      double sum = 0;
      for (int i = 0; i < kIn; ++i) sum += double{w[i]} * x[static_cast<size_t>(r * kIn + i)];
      EXPECT_NEAR(y.f32()[r * 9 + o], sum, 1e-5);
    }
  }
}

TEST(AddTokenTableTest, StartsLikeTheMapsUnlessTold) {
  ParamBank bank;
  AddTokenTable(bank, "own.weight", 10, 4, 0.5, kNormal);
  AddTokenTable(bank, "like_maps.weight", 10, 4, 0, kNormal);
  EXPECT_EQ(bank.Find("own.weight")->init.value, 0.5f);
  EXPECT_EQ(bank.Find("like_maps.weight")->init.value, 0.3f);
  EXPECT_EQ(bank.Find("own.weight")->role, Role::kEmbedding);
}

TEST(AddGainTest, StartsAtOne) {
  ParamBank bank;
  const Param gain = AddGain(bank, "norm", 6);
  EXPECT_EQ((std::pair{gain.rows, gain.cols}), (std::pair{1, 6}));
  EXPECT_EQ(bank.Find("norm.weight")->init.value, 1.0f);
  EXPECT_EQ(bank.Find("norm.weight")->role, Role::kVector);
}

TEST(AddVectorsTest, LieOneAfterAnother) {
  ParamBank bank;
  const Param both = AddVectors(bank, {"q", "k"}, 5, 0.25f);
  EXPECT_EQ((std::pair{both.rows, both.cols}), (std::pair{2, 5}));
  EXPECT_EQ(bank.Find("k")->offset, bank.Find("q")->offset + 5);
  EXPECT_EQ(bank.Find("k")->init.value, 0.25f);
  EXPECT_EQ(bank.Find("q")->shape, std::vector{5});
}

// Several norms side by side are one norm in groups: the handles are rows over all of them.
TEST(AddGainBiasesTest, AreOneNormInGroups) {
  ParamBank bank;
  const GainBias norms = AddGainBiases(bank, {"a", "b"}, 4);
  EXPECT_EQ((std::pair{norms.gain.rows, norms.gain.cols}), (std::pair{1, 8}));
  EXPECT_EQ((std::pair{norms.bias.rows, norms.bias.cols}), (std::pair{1, 8}));
  EXPECT_EQ(bank.Find("b.weight")->offset, bank.Find("a.weight")->offset + 4);
  EXPECT_EQ(bank.Find("b.bias")->offset, bank.Find("a.bias")->offset + 4);
  EXPECT_EQ(bank.Find("a.weight")->init.value, 1.0f);
  EXPECT_EQ(bank.Find("a.bias")->init.value, 0.0f);

  bank.Allocate(false);
  bank.Initialize(1);
  WeightPacks packs(bank);
  Tape tape(bank, packs, DType::kF32);
  tape.BeginInference(1, 1, nullptr);
  std::vector<float> x = {1, 2, 3, 4, 100, 200, 300, 400};
  const Tensor y = LayerNorm(tape, tape.Wrap(x.data(), 1, 8), norms, 2);
  for (int c = 0; c < 4; ++c) EXPECT_NEAR(y.f32()[c], y.f32()[c + 4], 1e-4);
}

TEST(CheckRotaryHeadsTest, AsksForPairs) {
  EXPECT_NO_THROW(CheckRotaryHeads(64, 4));
  EXPECT_THROW(CheckRotaryHeads(60, 8), UsageError);
  EXPECT_THROW(CheckRotaryHeads(36, 4), UsageError);
}

}  // namespace
}  // namespace flashlm
