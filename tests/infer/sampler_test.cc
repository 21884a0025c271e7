#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"

namespace flashlm {
namespace {

std::vector<float> RandomLogProbs(uint64_t seed, int vocab, bool with_ties) {
  Rng rng(seed, Purpose::kTest);
  std::vector<float> logits(static_cast<size_t>(vocab));
  for (float& z : logits) {
    z = 2 * rng.Normal();
    if (with_ties) z = std::round(z);
  }
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z));
  for (float& z : logits) z -= static_cast<float>(std::log(sum));
  return logits;
}

// The definitions of docs/spec/search.md#sampling, word by word: a full sort, then a test of every rank.
std::map<int, double> Definition(const SamplerConfig& c, const std::vector<float>& log_probs,
                                 const std::vector<int32_t>& history) {
  const double temperature = std::max(c.temperature, 1e-5);
  std::vector<std::pair<double, int>> ranked;  // (-z, id)
  for (int id = 3; id < static_cast<int>(log_probs.size()); ++id) {
    const size_t window = std::min(history.size(), static_cast<size_t>(c.penalty_window));
    const auto n = std::count(history.end() - static_cast<std::ptrdiff_t>(window), history.end(), id);
    const auto z = static_cast<float>(log_probs[static_cast<size_t>(id)] / temperature -
                                      c.frequency_penalty * static_cast<double>(n));
    ranked.push_back({-z, id});
  }
  std::sort(ranked.begin(), ranked.end());
  if (c.top_k > 0 && c.top_k < static_cast<int>(ranked.size())) {
    const double kth = ranked[static_cast<size_t>(c.top_k - 1)].first;
    std::erase_if(ranked, [&](const auto& entry) { return entry.first > kth; });
  }
  double mass = 0;
  for (const auto& [z, id] : ranked) mass += std::exp(-z);
  std::map<int, double> kept;
  double before = 0, kept_mass = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    const double p = std::exp(-ranked[i].first) / mass;
    const double best = std::exp(-ranked[0].first) / mass;
    if (i == 0 || ((before <= c.top_p || c.top_p == 1) && p >= c.min_p * best)) {
      kept[ranked[i].second] = p;
      kept_mass += p;
    }
    before += p;
  }
  for (auto& [id, p] : kept) p /= kept_mass;
  return kept;
}

std::vector<SamplerConfig> Configs() {
  std::vector<SamplerConfig> configs;
  for (const double temperature : {0.5, 1.0, 1.3}) {
    for (const int top_k : {0, 1, 7, 1000}) {
      for (const double top_p : {0.0, 0.6, 1.0}) {
        for (const double min_p : {0.0, 0.1}) {
          SamplerConfig c;
          c.temperature = temperature;
          c.top_k = top_k;
          c.top_p = top_p;
          c.min_p = min_p;
          c.frequency_penalty = top_k == 7 ? 0.7 : 0;
          c.penalty_window = 5;
          configs.push_back(c);
        }
      }
    }
  }
  return configs;
}

TEST(Sampler, KeepsWhatTheDefinitionsKeep) {
  const std::vector<int32_t> history{9, 9, 9, 4, 5, 9, 11, 5, 5};
  for (const auto& [vocab, ties] : {std::pair{60, false}, {60, true}, {4096, false}, {4096, true}}) {
    for (const SamplerConfig& c : Configs()) {
      const std::vector<float> log_probs = RandomLogProbs(ties ? 5 : 6, vocab, ties);
      const std::map<int, double> expected = Definition(c, log_probs, history);
      Sampler sampler(c);
      const auto kept = sampler.Best(log_probs, history, vocab);
      ASSERT_EQ(kept.size(), expected.size()) << FieldsToJson(c).dump() << " ties " << ties;
      for (size_t i = 0; i < kept.size(); ++i) {
        ASSERT_TRUE(expected.contains(kept[i].token)) << FieldsToJson(c).dump();
        EXPECT_NEAR(std::exp(kept[i].log_p), expected.at(kept[i].token), 1e-6);
        if (i == 0) continue;
        const bool ordered = kept[i - 1].log_p > kept[i].log_p ||
                             (kept[i - 1].log_p == kept[i].log_p && kept[i - 1].token < kept[i].token);
        EXPECT_TRUE(ordered);
      }
    }
  }
}

TEST(Sampler, DrawsWithTheDefinedProbabilities) {
  for (const double top_p : {0.8, 1.0}) {
    SamplerConfig c;
    c.temperature = 1.2;
    c.top_p = top_p;
    c.frequency_penalty = 0.5;
    const std::vector<float> log_probs = RandomLogProbs(8, 24, false);
    const std::vector<int32_t> history{4, 4, 20};
    const std::map<int, double> expected = Definition(c, log_probs, history);
    std::map<int, int> drawn;
    constexpr int kDraws = 40000;
    Sampler sampler(c);
    for (int i = 0; i < kDraws; ++i) ++drawn[sampler.Sample(log_probs, history, i)];
    for (const auto& [id, n] : drawn) {
      ASSERT_TRUE(expected.contains(id));
      const double p = expected.at(id), deviation = std::sqrt(p * (1 - p) / kDraws);
      EXPECT_NEAR(static_cast<double>(n) / kDraws, p, 5 * deviation + 1e-9) << "token " << id;
    }
  }
}

TEST(Sampler, ADrawDependsOnSeedAndPositionAlone) {
  const std::vector<float> log_probs = RandomLogProbs(3, 500, false);
  SamplerConfig c;
  c.temperature = 2;
  Sampler a(c), b(c);
  c.seed = 2;
  Sampler other(c);
  std::vector<int32_t> forward, backward, with_other_seed;
  for (int i = 0; i < 50; ++i) forward.push_back(a.Sample(log_probs, {}, i));
  for (int i = 49; i >= 0; --i) backward.push_back(b.Sample(log_probs, {}, i));
  for (int i = 0; i < 50; ++i) with_other_seed.push_back(other.Sample(log_probs, {}, i));
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  EXPECT_NE(forward, with_other_seed);
  EXPECT_GT(std::count_if(forward.begin(), forward.end(), [&](int32_t id) { return id != forward[0]; }), 10);
}

TEST(Sampler, TemperatureZeroIsGreedyAndTiesGoToTheLowerId) {
  SamplerConfig c;
  c.temperature = 0;
  Sampler sampler(c);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(sampler.Sample(std::vector<float>{-3, -3, -3, -2, -1, -1, -4}, {}, i), 4);
}

TEST(Sampler, NeverDrawsPadUnkOrBos) {
  for (const double temperature : {0.0, 5.0}) {
    SamplerConfig c;
    c.temperature = temperature;
    c.top_p = 1;
    Sampler sampler(c);
    const std::vector<float> log_probs{-0.1f, -0.1f, -0.1f, -5, -6};
    for (int i = 0; i < 200; ++i) EXPECT_GE(sampler.Sample(log_probs, {}, i), 3);
  }
}

TEST(Sampler, ThePenaltyLooksBackOnlyItsWindow) {
  SamplerConfig c;
  c.temperature = 0.01;
  c.frequency_penalty = 90;
  c.penalty_window = 2;
  Sampler sampler(c);
  const std::vector<float> log_probs{-9, -9, -9, -9, -1, -1.5f};
  EXPECT_EQ(sampler.Sample(log_probs, std::vector<int32_t>{4, 4, 5}, 0),
            4);  // both once: as if there were none
  EXPECT_EQ(sampler.Sample(log_probs, std::vector<int32_t>{4, 5, 5}, 0), 4);
  EXPECT_EQ(sampler.Sample(log_probs, std::vector<int32_t>{5, 4, 4}, 0), 5);
}

TEST(Sampler, ThePenaltyCountsEveryOccurrence) {
  SamplerConfig c;
  c.temperature = 1;
  c.top_p = 1;
  c.frequency_penalty = 0.25;
  const std::vector<float> log_probs(8, -std::log(8.0f));
  const std::vector<int32_t> history{4, 5, 5, 6, 6, 6};
  Sampler sampler(c);
  std::map<int32_t, double> log_p;
  for (const Sampler::Choice& choice : sampler.Best(log_probs, history, 8)) log_p[choice.token] = choice.log_p;
  for (const int token : {4, 5, 6}) EXPECT_NEAR(log_p[token], log_p[3] - 0.25 * (token - 3), 1e-6) << token;
}

// Where a limit is met exactly: half the mass does not exceed one half, and as probable as min-p asks is not below it.
TEST(Sampler, LimitsThatAreMetExactly) {
  SamplerConfig c;
  c.temperature = 1;
  c.top_k = 4;
  c.top_p = 0.5;
  const std::vector<float> equal(7, -2.0f);
  EXPECT_EQ(Sampler(c).Best(equal, {}, 7).size(), 3u);

  c.top_p = 1;
  c.min_p = double{std::exp(-1.0f)};
  const std::vector<float> falling{-9, -9, -9, -1, -2, -3};
  EXPECT_EQ(Sampler(c).Best(falling, {}, 6).size(), 2u);
}

// The masses of a sorted and of an unsorted list differ by rounding, which must not cost the least probable token.
TEST(Sampler, TopPOneKeepsAll) {
  SamplerConfig c;
  c.temperature = 0.25;  // spreads the masses so far that sums have to be rounded
  c.top_p = 1;
  c.top_k = 1000;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    EXPECT_EQ(Sampler(c).Best(RandomLogProbs(seed, 500, false), {}, 500).size(), 497u);
  }
}

// Most of what the nucleus keeps may lie far below the best token.
TEST(Sampler, TheNucleusReachesIntoALongTail) {
  SamplerConfig c;
  c.temperature = 1;
  c.top_p = 0.9;
  for (const float tail : {-7.9f, -9.0f, -20.0f}) {
    std::vector<float> log_probs(4096, tail);
    log_probs[1000] = 0;
    const size_t expected = Definition(c, log_probs, {}).size();
    EXPECT_NEAR(static_cast<double>(Sampler(c).Best(log_probs, {}, 4096).size()), static_cast<double>(expected), 1);
  }
}

TEST(Sampler, RefusesValuesOutOfRange) {
  SamplerConfig c;
  c.temperature = -1;
  EXPECT_THROW(Sampler{c}, UsageError);
  c = {};
  c.top_p = 1.5;
  EXPECT_THROW(Sampler{c}, UsageError);
  c = {};
  c.seed = -4;
  EXPECT_THROW(Sampler{c}, UsageError);
}

TEST(Sampler, RefusesProbabilitiesThatAreNotNumbers) {
  Sampler sampler(SamplerConfig{});
  EXPECT_THROW(sampler.Sample(std::vector<float>(10, NAN), {}, 0), Error);
}

}  // namespace
}  // namespace flashlm
