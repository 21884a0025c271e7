#include "eval/probe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/progress.h"
#include "data/hash.h"
#include "eval/probe_bigrams.h"
#include "eval/probe_report.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

using Nats = std::vector<std::vector<float>>;

double Draw(const TokenIds& text, uint64_t seed) {
  const std::string_view bytes(reinterpret_cast<const char*>(text.data()), text.size() * sizeof(uint16_t));
  return static_cast<double>(Hash64(bytes, seed) >> 11) * 0x1p-53;
}

// Knows nothing, and is sure: every text has a score of its own, which says nothing about it.
TextScorer Coin(uint64_t seed, double scale) {
  return [=](std::span<const TokenIds> texts) {
    Nats nats;
    for (const TokenIds& text : texts) {
      nats.emplace_back(text.size(), 0.0f).back() = static_cast<float>(scale * Draw(text, seed));
    }
    return nats;
  };
}

// Prefers, after the facts of item i, the ending of item i + shift; with shift 0 it knows the answers. What it makes of
// the first token, which all endings share, is noise.
TextScorer Knowing(const ProbeOptions& options, size_t shift) {
  const auto chosen = std::make_shared<std::set<TokenIds>>();
  for (const std::string_view category : ProbeCategories()) {
    for (uint64_t index = 0; index < static_cast<uint64_t>(options.items) * 4; ++index) {
      const ProbeSet set = MakeProbeSet(category, options.split, options.seed, index);
      const size_t n = set.endings.size();
      for (size_t i = 0; i < n; ++i) {
        chosen->insert(TinyTokenizer().Encode(set.Context(i) + set.endings[(i + shift) % n]));
      }
    }
  }
  return [chosen](std::span<const TokenIds> texts) {
    Nats nats;
    for (const TokenIds& text : texts) {
      std::vector<float>& of_text = nats.emplace_back(text.size(), 0.0f);
      of_text.back() = chosen->contains(text) ? 0 : 50;
      of_text.front() = static_cast<float>(1e4 * Draw(text, 3));
    }
    return nats;
  };
}

class ProbeTest : public testing::Test {
 protected:
  ProbeTest() { SetQuiet(true); }

  std::vector<ProbeCategoryResult> Run(const TextScorer& model, const TextScorer& untrained) {
    return RunProbes({model, untrained, ScoreByNGrams(bigrams_)}, TinyTokenizer(), options_);
  }

  ProbeOptions options_{.items = 300};
  NGramModel bigrams_ = CountBigramsOfProbes(TinyTokenizer());
};

TEST_F(ProbeTest, WhoKnowsTheAnswersIsAlwaysRight) {
  for (const ProbeCategoryResult& result : Run(Knowing(options_, 0), Coin(1, 0.5))) {
    EXPECT_EQ(result.all.by_sum.accuracy(), 1) << result.category;
    EXPECT_EQ(result.all.by_sum.standard_error(), 0);
    EXPECT_EQ(result.all.by_byte.accuracy(), 1);
    EXPECT_EQ(result.all.by_token.accuracy(), 1);
    EXPECT_GE(result.all.by_sum.items(), 300);
    EXPECT_LT(result.all.by_sum.items(), 304);
  }
  for (const ProbeCategoryResult& result : Run(Knowing(options_, 1), Coin(1, 0.5))) {
    EXPECT_EQ(result.all.by_sum.accuracy(), 0) << result.category;
  }
}

// Whatever is preferred without looking at the facts is right once in every set.
TEST_F(ProbeTest, ControlsWithoutTheFactsAreAtChanceExactly) {
  for (const ProbeCategoryResult& result : Run(Coin(1, 20), Coin(2, 0.5))) {
    const double chance = result.all.by_sum.chance();
    EXPECT_GE(chance, 0.25);
    EXPECT_LE(chance, 0.5);
    for (const ProbeControl control : {ProbeControl::kNoContext, ProbeControl::kBigrams}) {
      EXPECT_NEAR(result.all.controls[static_cast<size_t>(control)].accuracy(), chance, 1e-9) << result.category;
      EXPECT_EQ(result.removed_by[static_cast<size_t>(control)], 0);
    }
  }
}

TEST_F(ProbeTest, WhoGuessesIsAtChanceAlsoAfterLuckWasRemoved) {
  options_.items = 2000;
  const TextScorer coin = Coin(1, 40);
  int64_t removed = 0;
  // The coin is its own control: every set in which it was lucky with certainty is removed.
  for (const ProbeCategoryResult& result : Run(coin, coin)) {
    const ProbeShare& share = result.all.by_sum;
    EXPECT_NEAR(share.accuracy(), share.chance(), 3 * share.standard_error()) << result.category;
    EXPECT_NEAR(share.standard_error(), std::sqrt(share.chance() * (1 - share.chance()) / 2000.0), 0.004);
    EXPECT_EQ(result.removed_by[static_cast<size_t>(ProbeControl::kUntrained)] > 0, result.removed > 0);
    removed += result.removed;
  }
  EXPECT_GT(removed, 500);
}

TEST_F(ProbeTest, WhatAControlSolvesIsRemoved) {
  options_.items = 40;
  for (const size_t role : {0, 1}) {
    for (const ProbeCategoryResult& result : Run(Coin(1, 0.5), Knowing(options_, role))) {
      EXPECT_EQ(result.all.by_sum.items(), 0) << result.category;
      EXPECT_GE(result.removed, 160);
      EXPECT_EQ(result.removed_by[static_cast<size_t>(ProbeControl::kUntrained)], result.removed);
      EXPECT_EQ(ProbesToJson({result})[result.category]["accuracy"], 0);
    }
  }
  // Who prefers the right ones by less than the margin solves nothing.
  const TextScorer sure = Knowing(options_, 0);
  const auto doubtful = [&](std::span<const TokenIds> texts) {
    Nats nats = sure(texts);
    for (auto& of_text : nats) of_text.back() *= 0.9f * static_cast<float>(kProbeLead) / 50;
    return nats;
  };
  for (const ProbeCategoryResult& result : Run(Coin(1, 0.5), doubtful)) {
    EXPECT_EQ(result.removed, 0);
    EXPECT_EQ(result.all.controls[static_cast<size_t>(ProbeControl::kUntrained)].accuracy(), 1);
  }
}

// Every token costs the same: the shorter ending wins by sum, by token all tie.
TEST_F(ProbeTest, LengthIsNormalisedAway) {
  const TextScorer flat = [](std::span<const TokenIds> texts) {
    Nats nats;
    for (const TokenIds& text : texts) nats.emplace_back(text.size(), 1.0f);
    return nats;
  };
  for (const ProbeCategoryResult& result : Run(flat, flat)) {
    EXPECT_NEAR(result.all.by_token.accuracy(), result.all.by_token.chance(), 1e-9);
    EXPECT_NEAR(result.all.by_sum.accuracy(), result.all.by_sum.chance(), 1e-9);  // the sets are balanced
  }
}

TEST_F(ProbeTest, DifficultiesAreCountedApart) {
  for (const ProbeCategoryResult& result : Run(Coin(1, 0.5), Coin(2, 0.5))) {
    int64_t items = 0;
    for (const auto& [k, score] : result.by_k) items += score.by_sum.items();
    EXPECT_EQ(items, result.by_k.empty() ? 0 : result.all.by_sum.items());
    EXPECT_EQ(result.category == "k_hop" || result.category == "recall", result.by_k.size() == 4u) << result.category;
    if (result.category != "recall") continue;
    ASSERT_EQ(result.by_k.size(), 4u);
    EXPECT_EQ(result.by_k.at(2).by_sum.chance(), 0.5);
    EXPECT_EQ(result.by_k.at(8).by_sum.chance(), 0.25);
  }
}

TEST_F(ProbeTest, AModelIsReadTheSameWayEachTime) {
  options_.items = 12;
  const std::unique_ptr<Model> model = TinyModel(RegisteredModels().front());
  const std::unique_ptr<Model> other = TinyModel(RegisteredModels().front(), Json::object(), 8);
  const auto run = [&] {
    return ProbesToJson(Run(ScoreByModel(*model, DType::kF32), ScoreByModel(*other, DType::kF32)));
  };
  const Json json = run();
  EXPECT_EQ(json, run());
  ASSERT_EQ(json.size(), 6u);
  for (const auto& [name, category] : json.items()) {
    for (const char* key : {"accuracy", "stderr", "chance", "items", "normalised", "controls", "removed"}) {
      EXPECT_TRUE(category.contains(key)) << name << " " << key;
    }
    for (const char* control : {"untrained", "ngram", "no_context", "shuffled_context"}) {
      EXPECT_TRUE(category["controls"][control].is_number()) << name << " " << control;
    }
  }
  options_.seed = 2;
  EXPECT_NE(json, run());
}

TEST_F(ProbeTest, BigramsSeeOneTokenBack) {
  const auto id = [](const char* letter) { return TinyTokenizer().Encode(letter)[0]; };
  const std::vector<TokenIds> texts = {{id("t"), id("h"), id("e")}, {id("l"), id("h"), id("e")}};
  const Nats nats = ScoreByNGrams(bigrams_)(texts);
  EXPECT_LT(nats[0][1], nats[1][1]);  // "th" is more frequent than "lh"
  EXPECT_EQ(nats[0][2], nats[1][2]);
  double sum = 0;
  for (int next = 0; next < TinyTokenizer().vocab_size(); ++next) {
    const std::vector<TokenIds> one = {{id("t"), static_cast<uint16_t>(next)}};
    sum += std::exp(-ScoreByNGrams(bigrams_)(one)[0][1]);
  }
  EXPECT_NEAR(sum, 1, 1e-4);
}

TEST(ProbeShareTest, SaysHowSureItIs) {
  ProbeShare share;
  EXPECT_EQ(share.accuracy(), 0);
  for (const double right : {2, 0, 2, 0}) share.Add(right, 2);
  EXPECT_EQ(share.accuracy(), 0.5);
  EXPECT_EQ(share.chance(), 0.5);
  // All or nothing in each set: four units, not eight. sqrt(4 / 3 * 4) / 8.
  EXPECT_NEAR(share.standard_error(), std::sqrt(4.0 / 3 * 4) / 8, 1e-12);
  ProbeShare even;
  for (int i = 0; i < 50; ++i) even.Add(1, 2);
  EXPECT_NEAR(even.standard_error(), std::sqrt(0.25 / 100), 1e-12);
}

}  // namespace
}  // namespace flashlm
