#include "nn/ngram_tables.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace flashlm {
namespace {

constexpr int kBatch = 2, kLength = 5, kWidth = 6;
constexpr int kRows = kBatch * kLength;
const std::vector<int32_t> kTokens = {5, 6, 5, 3, 6, 9, 8, 7, 8, 7};

NgramTablesConfig Config(const Json& fields) {
  NgramTablesConfig config;
  FieldsFromJson(fields, "model", config);
  config.Validate();
  return config;
}

std::vector<std::string> NamesOf(const ParamBank& bank) {
  std::vector<std::string> names;
  for (const auto& table : bank.tables()) names.push_back(table->name());
  for (const ParamInfo& info : bank.infos()) names.push_back(info.name);
  return names;
}

// What is added to a stream of random hidden states, [N, kWidth].
struct Added {
  ParamBank bank;
  WeightPacks packs{bank};
  std::vector<float> x, y;

  explicit Added(const Json& fields) {
    const NgramTables tables(bank, "t", Config(fields), kWidth);
    bank.Allocate(true);
    bank.Initialize(3);
    for (const ParamInfo& info : bank.infos()) {
      for (int64_t i = 0; info.role == Role::kVector && i < info.size; ++i) {
        bank.values()[info.offset + i] = 0.1f * static_cast<float>(i);
      }
    }
    Rng rng(1, Purpose::kTest);
    for (int i = 0; i < kRows * kWidth; ++i) x.push_back(rng.Normal());
    Tape tape(bank, packs, DType::kF32);
    tape.BeginTraining(kBatch, kLength, 1, 1);
    const Tensor out = tables.AddTo(tape, kTokens.data(), tape.Wrap(x.data(), kRows, kWidth));
    y.assign(out.f32(), out.f32() + kRows * kWidth);
  }
  // The row of a table that the operation finds at position n.
  const float* Row(size_t table, int order, int n) {
    Tape tape(bank, packs, DType::kF32);
    tape.BeginTraining(kBatch, kLength, 1, 1);
    const Tensor rows = HashedEmbedding(tape, kTokens.data(), *bank.tables()[table], {.order = order});
    const float* found = rows.matrix().Row<float>(n);
    for (int r = 0; r < bank.tables()[table]->rows(); ++r) {
      const float* row = bank.tables()[table]->matrix().Row<float>(r);
      if (std::equal(row, row + rows.cols, found)) return row;
    }
    return nullptr;
  }
};

TEST(NgramTables, AddTheRowsOfAllOrders) {
  Added added({{"table_bigrams", 50}, {"table_fourgrams", 70}, {"table_std", 0.5}});
  EXPECT_EQ(NamesOf(added.bank), std::vector<std::string>({"t.2grams", "t.4grams"}));
  for (int n = 0; n < kRows; ++n) {
    const float *pair = added.Row(0, 2, n), *four = added.Row(1, 4, n);
    for (int c = 0; c < kWidth; ++c) {
      const auto i = static_cast<size_t>(n * kWidth + c);
      EXPECT_NEAR(added.y[i], added.x[i] + pair[c] + four[c], 1e-5) << n;
    }
  }
}

TEST(NgramTables, NarrowOnesAreMappedAndGatedByTheHiddenState) {
  Added added({{"table_trigrams", 50},
               {"table_width", 4},
               {"table_std", 0.5},
               {"table_place", "output"},
               {"table_gate", true}});
  EXPECT_EQ(NamesOf(added.bank), std::vector<std::string>({"t.3grams", "t.map.weight", "t.gate"}));
  const float* map = added.bank.values() + added.bank.Find("t.map.weight")->offset;
  for (int n = 0; n < kRows; ++n) {
    const float* row = added.Row(0, 3, n);
    double gate = 0;
    for (int c = 0; c < kWidth; ++c) gate += 0.1 * c * added.x[static_cast<size_t>(n * kWidth + c)];
    for (int c = 0; c < kWidth; ++c) {
      double mapped = 0;
      for (int k = 0; k < 4; ++k) mapped += map[c * 4 + k] * row[k];
      const auto i = static_cast<size_t>(n * kWidth + c);
      EXPECT_NEAR(added.y[i], added.x[i] + mapped / (1 + std::exp(-gate)), 1e-5) << n;
    }
  }
}

TEST(NgramTables, StartAtNothingUnlessAskedOtherwise) {
  const Added added({{"table_bigrams", 50}, {"table_trigrams", 50}});
  EXPECT_EQ(added.y, added.x);
}

TEST(NgramTables, AnInputHasNoHiddenStateToOpenAGate) {
  EXPECT_THROW(Config({{"table_bigrams", 50}, {"table_gate", true}}), UsageError);
  EXPECT_FALSE(Config({{"table_gate", true}}).on());
}

}  // namespace
}  // namespace flashlm
