#include "train/average.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/rng.h"

namespace flashlm {
namespace {

// A matrix, the embedding, a gain and a buffer.
void Declare(ParamBank& bank) {
  bank.Add({"embed.weight", {9, 4}, Role::kEmbedding, Init::Normal(1)});
  bank.Add({"map.weight", {5, 7}, Role::kMatrix, Init::Normal(1)});
  bank.Add({"gain", {6}, Role::kVector, Init::Constant(1)});
  bank.Add({"seen", {3}, Role::kBuffer, Init::Zero()});
  bank.Allocate(/*for_training=*/true);
}

// What a training step might leave behind.
void SetWeights(ParamBank& bank, int64_t step) {
  Rng rng(3, Purpose::kTest, static_cast<uint64_t>(step));
  for (const ParamInfo& info : bank.infos()) {
    for (int64_t i = 0; i < info.size; ++i) bank.values()[info.offset + i] = rng.Normal();
  }
  bank.Touch();
}

std::vector<float> ValuesOf(const ParamBank& bank) { return {bank.values(), bank.values() + bank.size()}; }

constexpr int64_t kSteps = 40;

// The weights of a run of kSteps steps under `config`, blended as defined: a mean of the weights of the steps that are
// taken in, with shares exp(-age / horizon), or equal ones.
std::vector<double> Expected(const AverageConfig& config, int64_t last) {
  std::vector<double> sum;
  double shares = 0;
  bool begun = false;
  ParamBank bank;
  Declare(bank);
  for (int64_t step = 1; step <= last; ++step) {
    const double fraction = static_cast<double>(step) / kSteps;
    if (fraction < 1 - config.fraction || (begun && step % config.every != 0)) continue;
    begun = true;
    SetWeights(bank, step);
    const double age = static_cast<double>(last - step) / kSteps;
    const double share = config.kind == "ema" ? std::exp(-age / config.horizon) : 1;
    sum.resize(static_cast<size_t>(bank.size()));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += share * bank.values()[i];
    shares += share;
  }
  SetWeights(bank, last);
  std::vector<double> blend(bank.values(), bank.values() + bank.size());
  for (const ParamInfo& info : bank.infos()) {
    const bool left_out = info.role == Role::kBuffer || (info.role == Role::kEmbedding && !config.embedding);
    if (left_out || !begun) continue;
    for (auto i = static_cast<size_t>(info.offset); i < static_cast<size_t>(info.offset + info.size); ++i) {
      blend[i] = (1 - config.blend) * blend[i] + config.blend * sum[i] / shares;
    }
  }
  return blend;
}

TEST(WeightAverage, IsTheMeanThatItIsDefinedAs) {
  for (const char* kind : {"ema", "mean"}) {
    for (const AverageConfig& config :
         {AverageConfig{kind, 0.5, 0.1, 1, 1, true}, AverageConfig{kind, 1, 0.3, 4, 0.6, false},
          AverageConfig{kind, 0.2, 0.02, 3, 0.5, true}, AverageConfig{kind, 0.01, 1e6, 10, 1, false}}) {
      ParamBank bank;
      Declare(bank);
      WeightAverage average(config, bank);
      for (int64_t step = 1; step <= kSteps; ++step) {
        SetWeights(bank, step);
        average.AfterStep(step, static_cast<double>(step) / kSteps);
        const bool taken_in = step % config.every == 0;
        if (!taken_in && step != kSteps) continue;
        const std::vector<float> raw = ValuesOf(bank);
        const uint64_t version = bank.version();
        {
          const WeightAverage::Blend blend(average);
          // Between two that are taken in the shares have not decayed further, in proportion they are the same.
          const std::vector<double> expected = Expected(config, step);
          for (size_t i = 0; i < raw.size(); ++i) ASSERT_NEAR(bank.values()[i], expected[i], 2e-5) << kind << step;
        }
        EXPECT_EQ(ValuesOf(bank), raw) << "bit for bit the weights that are trained";
        EXPECT_EQ(bank.version() > version, average.begun()) << "packed weights must notice";
      }
      EXPECT_TRUE(average.begun());
    }
  }
}

TEST(WeightAverage, BeginsInTheLastPartAndAnewAfterARestart) {
  ParamBank bank;
  Declare(bank);
  WeightAverage average({"mean", 0.25, 0.05, 1, 1, true}, bank);
  for (int64_t step = 1; step < 30; ++step) {
    average.AfterStep(step, static_cast<double>(step) / kSteps);
    EXPECT_FALSE(average.begun());
  }
  for (int64_t step = 30; step <= kSteps; ++step) {
    SetWeights(bank, step);
    average.AfterStep(step, static_cast<double>(step) / kSteps);
    EXPECT_TRUE(average.begun());
  }
  average.Restart();
  EXPECT_FALSE(average.begun());
  SetWeights(bank, 7);
  const std::vector<float> raw = ValuesOf(bank);
  average.AfterStep(7, 0.9);
  const WeightAverage::Blend blend(average);
  EXPECT_EQ(ValuesOf(bank), raw) << "of one step alone";
}

TEST(WeightAverage, OffItKeepsNothing) {
  ParamBank bank;
  Declare(bank);
  WeightAverage average({}, bank);
  average.AfterStep(1, 1);
  EXPECT_FALSE(average.begun());
  EXPECT_EQ(average.state().size(), 0);
  EXPECT_EQ(FieldsToJson(average), Json::object());
  const uint64_t version = bank.version();
  { const WeightAverage::Blend blend(average); }
  EXPECT_EQ(bank.version(), version);
}

}  // namespace
}  // namespace flashlm
