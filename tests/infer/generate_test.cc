#include "infer/generate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "infer/search.h"
#include "infer/utf8_stream.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

GenerateOptions Options(int max_tokens, int64_t seed = 1) {
  GenerateOptions options;
  options.sampler.temperature = 1;
  options.sampler.top_p = 1;
  options.sampler.seed = seed;
  options.max_tokens = max_tokens;
  return options;
}

class GenerateTest : public testing::Test {
 protected:
  Generation Run(std::string_view prompt, const GenerateOptions& options) {
    pieces_.clear();
    return Generate(session_, TinyTokenizer(), prompt, options,
                    [&](std::string_view piece) { pieces_.emplace_back(piece); });
  }

  std::unique_ptr<Model> model_ = TinyModel(FindModel("cortex-viii"));
  Session session_{*model_, DType::kF32};
  std::vector<std::string> pieces_;
};

TEST_F(GenerateTest, TheSameSeedWritesTheSameText) {
  const Generation a = Run("Once upon", Options(40)), b = Run("Once upon", Options(40));
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.text, b.text);
  EXPECT_NE(a.tokens, Run("Once upon", Options(40, 2)).tokens);
  EXPECT_NE(a.tokens, Run("Once upom", Options(40)).tokens);
}

TEST_F(GenerateTest, StreamsTheTextInWholeCharacters) {
  const Generation g = Run("The", Options(300));
  std::string joined, bytes;
  for (const std::string& piece : pieces_) {
    Utf8Stream check;
    EXPECT_FALSE(piece.empty());
    EXPECT_EQ(check.Push(piece), piece);
    joined += piece;
  }
  for (const int32_t token : g.tokens) bytes += TinyTokenizer().Bytes(token);
  Utf8Stream whole;
  std::string expected(whole.Push(bytes));
  expected += whole.Finish();
  EXPECT_EQ(joined, expected);
  EXPECT_EQ(g.text, expected);
}

TEST_F(GenerateTest, StopsAfterTheNumberOfTokens) {
  const Generation g = Run("The cat", Options(5));
  EXPECT_EQ(g.tokens.size(), 5u);
  EXPECT_EQ(g.stop_reason, StopReason::kLength);
  EXPECT_EQ(g.prompt_tokens, static_cast<int>(TinyTokenizer().Encode("The cat").size()));
  EXPECT_GT(g.tokens_per_s(), 0);
  const Generation none = Run("The cat", Options(0));
  EXPECT_TRUE(none.tokens.empty());
  EXPECT_EQ(none.text, "");
  EXPECT_THROW(Run("The cat", Options(-1)), UsageError);
}

TEST_F(GenerateTest, StopsAtEos) {
  const Generation g = Run("", Options(20000));  // 290 tokens of similar probability: <eos> comes soon
  EXPECT_EQ(g.stop_reason, StopReason::kEos);
  EXPECT_LT(g.tokens.size(), 20000u);
  for (const int32_t token : g.tokens) EXPECT_GT(token, Tokenizer::kEos);
  EXPECT_STREQ(NameOf(g.stop_reason), "eos");
}

TEST_F(GenerateTest, StopsOnRequest) {
  GenerateOptions options = Options(100);
  int asked = 0;
  options.stop_requested = [&] { return ++asked > 3; };
  const Generation g = Run("Once", options);
  EXPECT_EQ(g.tokens.size(), 3u);
  EXPECT_EQ(g.stop_reason, StopReason::kRequest);
}

TEST_F(GenerateTest, GreedyTextIsWhatTheWholePrefixPredicts) {
  GenerateOptions options = Options(12);
  options.sampler.temperature = 0;
  const Generation g = Run("Once upon", options);
  std::vector<int32_t> prefix{Tokenizer::kEos};
  for (const uint16_t id : TinyTokenizer().Encode("Once upon")) prefix.push_back(id);
  for (const int32_t token : g.tokens) {
    Session fresh(*model_, DType::kF32);
    const float* log_probs = fresh.Feed(prefix);
    int best = Tokenizer::kEos;
    for (int v = best; v < fresh.vocab(); ++v) {
      if (log_probs[v] > log_probs[best]) best = v;
    }
    EXPECT_EQ(token, best);
    prefix.push_back(token);
  }
}

TEST_F(GenerateTest, SearchWithoutWeightOnTheFutureIsGreedy) {
  GenerateOptions search = Options(15), greedy = Options(15);
  search.search = 5;
  search.search_beta = 0;
  greedy.sampler.temperature = 0;
  EXPECT_EQ(Run("The dog", search).tokens, Run("The dog", greedy).tokens);
}

TEST_F(GenerateTest, SearchTakesTheBestOfItsDefinition) {
  constexpr double kBeta = 30;  // untrained values are small
  GenerateOptions options = Options(8);
  options.search = 6;
  options.search_beta = kBeta;
  const Generation g = Run("The dog", options);
  std::vector<int32_t> prefix{Tokenizer::kEos};
  for (const uint16_t id : TinyTokenizer().Encode("The dog")) prefix.push_back(id);
  bool ever_not_first = false;
  for (const int32_t token : g.tokens) {
    Session fresh(*model_, DType::kF32);
    const std::span<const float> log_probs(fresh.Feed(prefix), static_cast<size_t>(fresh.vocab()));
    Sampler sampler(options.sampler);
    const auto choices = sampler.Best(log_probs, {}, options.search);
    int32_t best = -1;
    double best_score = -INFINITY;
    for (const auto& choice : choices) {
      Session next(*model_, DType::kF32);
      std::vector<int32_t> longer = prefix;
      longer.push_back(choice.token);
      next.Feed(longer);
      const double score = choice.log_p - kBeta * next.value();
      if (score > best_score) {
        best_score = score;
        best = choice.token;
      }
    }
    EXPECT_EQ(token, best);
    ever_not_first |= best != choices[0].token;
    prefix.push_back(token);
  }
  EXPECT_TRUE(ever_not_first);
}

TEST(SearchTest, NeedsValueHeads) {
  const auto model = TinyModel(FindModel("cortex-viii"), Json::object({{"value_heads", false}}));
  Session session(*model, DType::kF32);
  GenerateOptions options = Options(5);
  options.search = 4;
  EXPECT_THROW(Generate(session, TinyTokenizer(), "The", options, {}), Error);
}

}  // namespace
}  // namespace flashlm
