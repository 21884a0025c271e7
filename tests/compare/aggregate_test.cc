#include "compare/aggregate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compare/comparison.h"

namespace flashlm {
namespace {

ComparisonRow Row(const std::string& name, uint64_t seed, double bits) {
  ComparisonRow row;
  row.name = row.preset = name;
  row.result.seed = seed;
  row.result.params = 1000;
  row.result.val_bits_per_byte = bits;
  row.result.stderr_bits_per_byte = 0.002 * static_cast<double>(seed);
  row.result.tokens = 100 * static_cast<int64_t>(seed);
  row.result.tok_per_sec = 10;
  return row;
}

ComparisonRow Failed(const std::string& name, uint64_t seed) {
  ComparisonRow row = Row(name, seed, RunResult::kUnknown);
  row.error = "out of memory";
  return row;
}

TEST(Aggregates, AreOverSeedsAndRankedByTheMean) {
  const std::vector<Aggregate> all = AggregateRows(
      {Row("b", 1, 0.90), Row("a", 1, 0.80), Failed("c", 1), Row("b", 2, 0.70), Row("a", 2, 0.78), Failed("c", 2)});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[1].name, "b");
  EXPECT_EQ(all[2].name, "c");
  EXPECT_NEAR(all[0].bits_per_byte.mean, 0.79, 1e-12);
  EXPECT_NEAR(all[0].bits_per_byte.error, 0.01, 1e-12);
  EXPECT_NEAR(all[1].bits_per_byte.error, 0.1, 1e-12);
  EXPECT_NEAR(all[0].stderr_documents, 0.003, 1e-12) << "apart from that over seeds, and not made smaller by them";
  EXPECT_EQ(all[0].tokens, 150);
  EXPECT_EQ(all[0].seeds, (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(all[2].without_result());
  EXPECT_EQ(all[2].failed, 2);
  EXPECT_EQ(all[2].error, "out of memory");
}

TEST(Aggregates, AreJudgedAgainstTheBestAndTheBestAgainstTheSecond) {
  const std::vector<Aggregate> all =
      AggregateRows({Row("far", 1, 0.9), Row("far", 2, 0.91), Row("far", 3, 0.92),  //
                     Row("best", 1, 0.8), Row("best", 2, 0.81), Row("best", 3, 0.819), Failed("none", 1),
                     Row("near", 1, 0.802), Row("near", 2, 0.808), Row("near", 3, 0.823)});
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].name, "best");
  EXPECT_EQ(all[0].verdict->against, "near");
  EXPECT_FALSE(all[0].verdict->apart());
  EXPECT_EQ(all[1].name, "near");
  EXPECT_EQ(all[1].verdict->against, "best");
  EXPECT_FALSE(all[1].verdict->apart());
  EXPECT_EQ(all[2].verdict->against, "best");
  EXPECT_TRUE(all[2].verdict->apart());
  EXPECT_EQ(all[2].verdict->difference.count, 3);
  EXPECT_FALSE(all[3].verdict.has_value());
  EXPECT_FALSE(AggregateRows({Row("alone", 1, 0.8), Failed("none", 1)})[0].verdict.has_value());
}

// A comparison that was interrupted, or a seed that failed: pairs are made of what both have.
TEST(Aggregates, PairsAreOfSeedsThatBothHave) {
  const std::vector<Aggregate> all =
      AggregateRows({Row("a", 1, 0.5), Failed("a", 2), Row("a", 3, 0.7), Row("b", 1, 0.61), Row("b", 2, 0.1),
                     Row("b", 3, 0.8), Row("b", 4, 2.0)});
  ASSERT_EQ(all[0].name, "a");
  EXPECT_EQ(all[0].failed, 1);
  EXPECT_EQ(all[0].verdict->difference.count, 2);
  EXPECT_NEAR(all[0].verdict->difference.mean, -0.105, 1e-12);
  EXPECT_EQ(all[1].bits_per_byte.count, 4);
}

TEST(Aggregates, WhatDivergedIsLastOfThoseThatEnded) {
  const std::vector<Aggregate> all = AggregateRows({Failed("c", 1), Row("b", 1, std::nan("")), Row("a", 1, 3.0)});
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[1].name, "b");
  EXPECT_EQ(all[2].name, "c");
}

TEST(Conclude, OrdersRowsAsTheirAggregates) {
  const Comparison comparison =
      Conclude({}, {Row("b", 1, 0.9), Row("a", 1, 0.8), Failed("c", 1), Row("b", 2, 0.7), Row("a", 2, 0.78)});
  std::string order;
  for (const ComparisonRow& row : comparison.rows) order += row.name + std::to_string(row.result.seed) + " ";
  EXPECT_EQ(order, "a1 a2 b1 b2 c1 ");
  const Json json = ToJson(comparison);
  EXPECT_EQ(json.at("rows").size(), 5u);
  EXPECT_EQ(json.at("rows")[4].at("error"), "out of memory");
  const Json& best = json.at("aggregates")[0];
  EXPECT_EQ(best.at("seeds"), Json({1, 2}));
  EXPECT_NEAR(best.at("val_bits_per_byte").get<double>(), 0.79, 1e-12);
  EXPECT_NEAR(best.at("stderr_seeds").get<double>(), 0.01, 1e-12);
  EXPECT_NEAR(best.at("stderr_documents").get<double>(), 0.003, 1e-12);
  EXPECT_EQ(best.at("verdict").at("against"), "b");
  EXPECT_FALSE(json.at("aggregates")[2].contains("val_bits_per_byte"));
}

// Names are files' names whatever presets and variants are called.
TEST(Contender, HasASafeName) {
  EXPECT_EQ((Contender{"v8.3", "", "", {}}).Name(), "v8.3");
  EXPECT_EQ((Contender{"dir/my model.toml", "recipes/a.toml", "", {}}).Name(), "my_model+a");
  EXPECT_EQ((Contender{"v8.3", "adamw", "lr=0.1, wide", {}}).Name(), "v8.3+adamw+lr=0.1,_wide");
  EXPECT_EQ((Contender{"v8.3", "", "../../x\n\"$(y)", {}}).Name(), "v8.3+_._.._x____y_");
  EXPECT_EQ((Contender{"-x.toml", "", "", {}}).Name(), "_x");
}

}  // namespace
}  // namespace flashlm
