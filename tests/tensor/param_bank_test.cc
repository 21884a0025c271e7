#include "tensor/param_bank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "kernels/ternary/ref.h"

namespace flashlm {
namespace {

using kernels::Ternary;

const Init kNormal = Init::Normal(0.5f);

ParamInfo Plain(const std::string& name, const std::vector<int>& shape) {
  return {name, shape, Role::kMatrix, Init::Zero()};
}

TEST(ParamBankTest, ParametersAreAlignedUnlessTheyJoin) {
  ParamBank bank;
  const Param a = bank.Add(Plain("a", {3, 5})), b = bank.Add(Plain("b", {2, 5}), true), c = bank.Add(Plain("c", {7})),
              d = bank.Add(Plain("d", {2, 3, 4}));
  EXPECT_EQ(a.offset, 0);
  EXPECT_EQ(b.offset, 15);
  EXPECT_EQ(c.offset, 32);
  EXPECT_EQ(d.offset, 48);
  EXPECT_EQ((std::pair{c.rows, c.cols}), (std::pair{1, 7}));
  EXPECT_EQ((std::pair{d.rows, d.cols}), (std::pair{2, 12}));
  bank.Allocate(true);
  EXPECT_EQ(bank.size(), 80);  // whole alignment units
  for (float* array : {bank.values(), bank.gradients()}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(array) % 64, 0u);
    EXPECT_TRUE(std::all_of(array, array + bank.size(), [](float x) { return x == 0; }));
  }
  EXPECT_EQ(bank.Value(c), bank.values() + 32);
  EXPECT_EQ(bank.Gradient(d), bank.gradients() + 48);
}

TEST(ParamBankTest, InferenceHasValuesOnly) {
  ParamBank bank;
  bank.Add(Plain("a", {3}));
  bank.Allocate(false);
  EXPECT_FALSE(bank.for_training());
  EXPECT_NE(bank.values(), nullptr);
  EXPECT_EQ(bank.gradients(), nullptr);
}

TEST(ParamBankTest, CountsWithoutPaddingAndBuffers) {
  ParamBank bank;
  bank.Add(Plain("a", {3, 5}));
  bank.Add({"t", {4, 4}, Role::kMatrix, {}, 1, {Ternary::kMean, false}});
  bank.Add({"buffer", {100}, Role::kBuffer, {}});
  EXPECT_EQ(bank.ParameterCount(), 31);
  EXPECT_EQ(bank.TernaryCount(), 16);
  ASSERT_NE(bank.Find("buffer"), nullptr);
  EXPECT_EQ(bank.Find("buffer")->size, 100);
  EXPECT_EQ(bank.Find("b"), nullptr);
}

TEST(ParamBankTest, RefusesWhatCannotBe) {
  ParamBank bank;
  bank.Add(Plain("a", {3}));
  EXPECT_THROW(bank.Add(Plain("a", {4})), Error);
  EXPECT_THROW(bank.Add(Plain("none", {})), Error);
  EXPECT_THROW(bank.Add(Plain("four", {1, 1, 1, 1})), Error);
  bank.Allocate(false);
  EXPECT_THROW(bank.Add(Plain("late", {3})), Error);
  EXPECT_THROW(bank.Allocate(false), Error);
}

std::vector<float> ValuesOf(const ParamBank& bank, const std::string& name) {
  const ParamInfo& info = *bank.Find(name);
  return {bank.values() + info.offset, bank.values() + info.offset + info.size};
}

// Another parameter before it, or another seed's neighbours, change nothing of what a name starts with.
TEST(ParamBankTest, ValuesDependOnSeedAndNameAlone) {
  const auto draw = [](bool with_neighbour, uint64_t seed) {
    auto bank = std::make_unique<ParamBank>();
    if (with_neighbour) bank->Add({"neighbour", {13}, Role::kVector, kNormal});
    bank->Add({"map", {40, 50}, Role::kMatrix, kNormal});
    bank->Add({"twin", {40, 50}, Role::kMatrix, kNormal});
    bank->Add({"gain", {20}, Role::kVector, Init::Constant(1.5f)});
    bank->Add({"bias", {20}, Role::kVector, Init::Zero()});
    bank->Allocate(false);
    bank->Initialize(seed);
    return bank;
  };
  const auto alone = draw(false, 3), beside = draw(true, 3), other = draw(false, 4);
  EXPECT_EQ(ValuesOf(*alone, "map"), ValuesOf(*beside, "map"));
  EXPECT_NE(ValuesOf(*alone, "map"), ValuesOf(*other, "map"));
  EXPECT_NE(ValuesOf(*alone, "map"), ValuesOf(*alone, "twin"));
  EXPECT_EQ(ValuesOf(*alone, "gain"), std::vector<float>(20, 1.5f));
  EXPECT_EQ(ValuesOf(*alone, "bias"), std::vector<float>(20, 0.0f));
  const std::vector<float> map = ValuesOf(*alone, "map");
  const double squares = std::inner_product(map.begin(), map.end(), map.begin(), 0.0);
  EXPECT_NEAR(std::sqrt(squares / 2000), 0.5, 0.03);
  EXPECT_NEAR(std::accumulate(map.begin(), map.end(), 0.0) / 2000, 0.0, 0.05);
}

TEST(ParamBankTest, InitializeAndTouchChangeTheVersion) {
  ParamBank bank;
  bank.Add(Plain("a", {3}));
  bank.Allocate(false);
  const uint64_t first = bank.version();
  bank.Initialize(1);
  const uint64_t second = bank.version();
  bank.Touch();
  EXPECT_NE(first, second);
  EXPECT_NE(second, bank.version());
}

// Neighbours under one handle are rounded each by itself, and their gradients go each to its own place.
TEST(ParamBankTest, TernaryNeighboursKeepTheirOwnScales) {
  ParamBank bank;
  const Quantization mean{Ternary::kScaleGradient, false};
  bank.Add({"before", {4}, Role::kVector, kNormal});
  const Param first = bank.Add({"first", {3, 8}, Role::kMatrix, Init::Normal(0.1f), 1, mean});
  bank.Add({"second", {2, 8}, Role::kMatrix, Init::Normal(3.0f), 1, mean}, true);
  bank.Allocate(true);
  bank.Initialize(5);
  Param both = first;
  both.rows = 5;
  std::vector<float> trits(40), scales(5);
  bank.Ternarize(both, trits.data(), scales.data());
  int64_t row = 0;
  for (const char* name : {"first", "second"}) {
    const std::vector<float> values = ValuesOf(bank, name);
    const std::vector<double> wide(values.begin(), values.end());
    std::vector<double> expected(values.size());
    const int rows = static_cast<int>(values.size() / 8);
    kernels::ref::Ternarize(Ternary::kScaleGradient, wide.data(), rows, 8, expected.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t at = static_cast<size_t>(row * 8) + i;
      EXPECT_TRUE(trits[at] == 0 || std::abs(trits[at]) == 1);
      EXPECT_NEAR(trits[at] * scales[at / 8], expected[i], 1e-5) << name << ", " << i;
    }
    row += rows;
  }
  EXPECT_GT(scales[4], 10 * scales[0]);

  const std::vector<float> effective(40, 1.0f);
  for (int twice = 1; twice <= 2; ++twice) {  // gradients are added
    bank.AddTernaryGradient(both, effective.data(), bank.Gradient(both));
    std::vector<float> alone(24, 0.0f);
    kernels::TernaryGradient(Ternary::kScaleGradient, bank.Value(first), effective.data(), 3, 8, alone.data());
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_NEAR(bank.Gradient(first)[i], static_cast<float>(twice) * alone[i], 1e-5f * (1 + std::abs(alone[i])));
    }
  }
  EXPECT_EQ(*bank.gradients(), 0) << "a gradient before the handle";
}

}  // namespace
}  // namespace flashlm
