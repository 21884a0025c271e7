#include "cluster/outer_step.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "memory_transport.h"

namespace flashlm {
namespace {

constexpr int kRows = 37, kCols = 53;

void MakeBank(ParamBank& bank) {
  bank.Add({"matrix", {kRows, kCols}, Role::kMatrix, Init::Normal(0.5f)});
  bank.Add({"gain", {7}, Role::kVector, Init::Constant(1)});
  bank.Allocate(true);
  bank.Initialize(3);
}

// What a rank has trained by itself in a round: any change.
float Change(int rank, int round, int64_t i) {
  return static_cast<float>(std::sin(1.7 * static_cast<double>(i) + rank) * 0.01 * (round + 1));
}

std::vector<float> ValuesAfter(Ranks* ranks, const ClusterConfig& config, int rounds) {
  ParamBank bank;
  MakeBank(bank);
  OuterStep outer(ranks, config, bank);
  outer.Begin();
  const int rank = ranks == nullptr ? 0 : ranks->rank();
  for (int round = 0; round < rounds; ++round) {
    for (const ParamInfo& info : bank.infos()) {
      for (int64_t i = 0; i < info.size; ++i) bank.values()[info.offset + i] += Change(rank, round, info.offset + i);
    }
    outer.Run();
  }
  return {bank.values(), bank.values() + bank.size()};
}

// The definition, in double; padding stays zero.
std::vector<double> Reference(int ranks, const ClusterConfig& config, int rounds) {
  ParamBank bank;
  MakeBank(bank);
  std::vector<double> values(bank.values(), bank.values() + bank.size()), velocity(values.size());
  for (int round = 0; round < rounds; ++round) {
    for (const ParamInfo& info : bank.infos()) {
      for (int64_t i = info.offset; i < info.offset + info.size; ++i) {
        double gradient = 0;
        for (int rank = 0; rank < ranks; ++rank) gradient -= Change(rank, round, i) / static_cast<double>(ranks);
        double& v = velocity[static_cast<size_t>(i)];
        v = config.outer_momentum * v + gradient;
        values[static_cast<size_t>(i)] -= config.outer_lr * (gradient + config.outer_momentum * v);
      }
    }
  }
  return values;
}

double LargestDifference(const std::vector<float>& values, const std::vector<double>& expected) {
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) largest = std::max(largest, std::abs(values[i] - expected[i]));
  return largest;
}

TEST(OuterStep, WithRateOneAndNoMomentumIsPlainAveraging) {
  ClusterConfig config;
  config.sync_every = 4;
  config.outer_lr = 1;
  config.outer_momentum = 0;
  for (const int count : {2, 3, 4}) {
    RunRanks(count, [&](Ranks& ranks) {
      ParamBank bank;
      MakeBank(bank);
      const std::vector<float> values = ValuesAfter(&ranks, config, 1);
      for (const ParamInfo& info : bank.infos()) {
        for (int64_t i = info.offset; i < info.offset + info.size; ++i) {
          double mean = 0;
          for (int r = 0; r < ranks.size(); ++r) mean += (bank.values()[i] + Change(r, 0, i)) / ranks.size();
          EXPECT_NEAR(values[static_cast<size_t>(i)], mean, 1e-6);
        }
      }
    });
  }
}

TEST(OuterStep, IsNesterovOnTheMeanDifference) {
  ClusterConfig config;
  config.sync_every = 4;
  for (const int count : {1, 2, 4}) {
    const std::vector<double> expected = Reference(count, config, 5);
    if (count == 1) {
      EXPECT_LT(LargestDifference(ValuesAfter(nullptr, config, 5), expected), 1e-6);
      continue;
    }
    std::vector<std::vector<float>> values(static_cast<size_t>(count));
    RunRanks(count, [&](Ranks& ranks) { values[static_cast<size_t>(ranks.rank())] = ValuesAfter(&ranks, config, 5); });
    EXPECT_LT(LargestDifference(values[0], expected), 1e-6);
    for (const auto& others : values) EXPECT_EQ(others, values[0]);
  }
}

// Rounding is made up for: after many rounds its error is that of about one, not of all.
TEST(OuterStep, FeedsBackWhatRoundingLoses) {
  ClusterConfig config;
  config.sync_every = 4;
  config.outer_lr = 1;
  config.outer_momentum = 0;
  for (const auto& [exchange, bytes, error] : {std::tuple{"int8", 1.0, 0.01 / 127}, {"bf16", 2.0, 0.01 / 256}}) {
    config.exchange = exchange;
    std::vector<float> values[2];
    int64_t sent = 0;
    RunRanks(2, [&](Ranks& ranks) {
      // The same change in every round.
      ParamBank bank;
      MakeBank(bank);
      OuterStep outer(&ranks, config, bank);
      outer.Begin();
      const int64_t before = ranks.bytes_sent();
      for (int round = 0; round < 50; ++round) {
        for (int64_t i = 0; i < bank.size(); ++i) bank.values()[i] += Change(ranks.rank(), 0, i);
        outer.Run();
      }
      values[ranks.rank()] = {bank.values(), bank.values() + bank.infos()[0].size};
      if (ranks.first()) sent = (ranks.bytes_sent() - before) / 50;
    });
    EXPECT_EQ(values[0], values[1]);
    ParamBank start;
    MakeBank(start);
    double largest = 0;
    for (size_t i = 0; i < values[0].size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      const double mean = 0.5 * (static_cast<double>(Change(0, 0, at)) + Change(1, 0, at));
      largest = std::max(largest, std::abs(values[0][i] - (start.values()[i] + 50 * mean)));
    }
    EXPECT_LT(largest, 4 * error) << exchange;
    EXPECT_NEAR(static_cast<double>(sent), bytes * static_cast<double>(start.size()),
                0.3 * static_cast<double>(start.size()));
  }
}

TEST(OuterStep, CodesRoundToTheNearestAndKeepTheRest) {
  Rng rng(5, Purpose::kTest);
  std::vector<float> values(1000);
  for (float& value : values) value = static_cast<float>(rng.Uniform() - 0.5);
  for (const Code code : {Code::kF32, Code::kBF16, Code::kInt8}) {
    std::vector<float> rest = values, decoded(values.size());
    std::vector<char> coded(static_cast<size_t>(CodedBytes(code, 1000)));
    Encode(code, rest.data(), 1000, coded.data());
    Decode(code, coded.data(), 1000, decoded.data());
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(decoded[i] + rest[i], values[i], 1e-7);
      EXPECT_LE(std::abs(rest[i]), code == Code::kF32 ? 0 : code == Code::kInt8 ? 0.5 * 0.5 / 127 * 1.001 : 1.0 / 512);
    }
  }
}

}  // namespace
}  // namespace flashlm
