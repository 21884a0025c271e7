// What lm-evaluation-harness asks of a server ("local-completions", loglikelihood tasks), and that what it makes of the
// answers is what `flashlm eval --pairs` gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "eval/choices.h"
#include "tests/serve/service_fixture.h"

namespace flashlm {
namespace {

class LmEvalTest : public TinyServerTest {
 protected:
  // The harness's request.
  static Json Score(const Json& prompts) {
    const Answer answer = Post(serving_->port(), "/v1/completions",
                               {{"model", "any"},
                                {"prompt", prompts},
                                {"temperature", 0},
                                {"max_tokens", 1},
                                {"logprobs", 1},
                                {"seed", 1234},
                                {"echo", true}});
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json();
  }

  // Its reading of one choice: the sum of a continuation's log-probabilities, and whether all of it was the likeliest.
  struct Likelihood {
    double sum = 0;
    bool greedy = true;
  };
  static Likelihood Read(const Json& choice, size_t context) {
    Likelihood likelihood;
    const Json& logprobs = choice.at("logprobs");
    const Json &tokens = logprobs.at("token_logprobs"), &tops = logprobs.at("top_logprobs");
    for (size_t i = context; i + 1 < tokens.size(); ++i) {
      const double token = tokens[i].get<double>();
      double best = -HUGE_VAL;
      for (const auto& [name, log_p] : tops[i].items()) best = std::max(best, log_p.get<double>());
      likelihood.sum += token;
      likelihood.greedy = likelihood.greedy && token == best;
    }
    return likelihood;
  }
  static Json Opened(const std::string& text) {
    Json ids =
        Post(serving_->port(), "/tokenize", {{"prompt", text}, {"add_special_tokens", false}}).json().at("tokens");
    ids.insert(ids.begin(), 3);
    return ids;
  }
};

TEST_F(LmEvalTest, EveryTokenHasItsEntryAndOneMore) {
  const Json ids = Opened("The cat was happy.");
  const Json answer = Score(Json::array({ids, Opened("Once")}));
  ASSERT_EQ(answer.at("choices").size(), 2u);
  const Json& choice = answer.at("choices").at(0);
  const Json& logprobs = choice.at("logprobs");
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    ASSERT_EQ(logprobs.at(list).size(), ids.size() + 1) << list;
  }
  EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
  EXPECT_TRUE(logprobs.at("top_logprobs").at(0).is_null());
  EXPECT_EQ(logprobs.at("tokens").at(0), "<eos>");
  EXPECT_TRUE(choice.at("text").get<std::string>().starts_with("<eos>The cat was happy."));
  EXPECT_EQ(logprobs.at("text_offset").at(1), 5);
  for (size_t i = 1; i < ids.size() + 1; ++i) {
    EXPECT_TRUE(logprobs.at("token_logprobs").at(i).is_number());
    EXPECT_GE(logprobs.at("top_logprobs").at(i).size(), 1u);
  }
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), ids.size() + Opened("Once").size());
}

// A text without the <eos> of its beginning: the first token is not told.
TEST_F(LmEvalTest, ATextAsAPrompt) {
  const Json with = Score(Opened("The cat was happy.")).at("choices").at(0).at("logprobs").at("token_logprobs");
  const Json without = Score("The cat was happy.").at("choices").at(0).at("logprobs").at("token_logprobs");
  const Json named = Score("<eos>The cat was happy.").at("choices").at(0).at("logprobs").at("token_logprobs");
  ASSERT_EQ(without.size() + 1, with.size());
  EXPECT_TRUE(without.at(0).is_null());
  for (size_t i = 1; i + 1 < without.size(); ++i) EXPECT_EQ(without.at(i), with.at(i + 1));
  EXPECT_EQ(named, with) << "as the harness sends it with tokenized_requests=False";
}

// A model that ends the text at once must not take the last token of the prompt from the harness.
TEST_F(LmEvalTest, TheEntryBeyondThePromptIsAlwaysThere) {
  const Json ids = Opened("The cat");
  for (int seed = 0; seed < 30; ++seed) {  // at this temperature one text in 290 ends at once
    const Json body = {{"prompt", ids}, {"temperature", 100}, {"max_tokens", 1}, {"n", 128},
                       {"logprobs", 1}, {"seed", seed},       {"echo", true}};
    const Json answer = Post(serving_->port(), "/v1/completions", body).json();
    for (const Json& choice : answer.at("choices")) {
      ASSERT_EQ(choice.at("logprobs").at("token_logprobs").size(), ids.size() + 1);
      if (choice.at("finish_reason") != "stop") continue;
      EXPECT_EQ(choice.at("logprobs").at("tokens").back(), "<eos>");
      return;
    }
  }
  FAIL() << "this model never ended its text";
}

TEST_F(LmEvalTest, GreedyIsWhereTheTokenIsTheLikeliest) {
  // What the model itself writes at temperature 0 is greedy, anything else is not.
  SamplerConfig sampler{.temperature = 0};
  const std::string written = Alone(folder_, "The cat", sampler, 6).text;
  const size_t context = Opened("The cat").size();
  const Json own = Opened("The cat" + written);
  EXPECT_TRUE(Read(Score(own).at("choices").at(0), context).greedy);
  Json other = own;
  other[context + 1] = other[context + 1].get<int>() == 50 ? 51 : 50;
  EXPECT_FALSE(Read(Score(other).at("choices").at(0), context).greedy);
}

TEST_F(LmEvalTest, PairsThroughHttpAreThoseOfEval) {
  const char* const kWords[] = {"cat",  "dog", "was",    "happy", "sad", "Once",
                                "upon", "a",   "little", "the",   "not", "and"};
  std::string lines;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int i = 0; i < 120; ++i) {
    std::string good = "The", bad = "The";
    for (int w = 0; w < 3 + i % 9; ++w) {
      good += std::string(" ") + kWords[(i + 5 * w) % 12];
      bad += std::string(" ") + kWords[(2 * i + 7 * w + 3) % 12];
    }
    if (good == bad) bad += " .";
    pairs.emplace_back(good, bad);
    lines += Json({{"sentence_good", good}, {"sentence_bad", bad}}).dump() + "\n";
  }
  WriteFileAtomic(*scratch_ / "pairs.jsonl", lines);
  LoadedModel loaded = LoadModel(folder_);
  const ChoiceResult result = EvaluatePairs(*loaded.model, DType::kF32, loaded.tokenizer, *scratch_ / "pairs.jsonl");
  const auto sum_of = [&](const std::string& text) { return Read(Score(Opened(text)).at("choices").at(0), 1).sum; };
  double right = 0;
  for (const auto& [good, bad] : pairs) {
    const double scores[] = {sum_of(good), sum_of(bad)};
    right += RightShare(scores, 0);
    // Many at a time: the same bits.
    const Json both = Score(Json::array({Opened(bad), Opened(good)}));
    ASSERT_EQ(Read(both.at("choices").at(1), 1).sum, scores[0]);
    // And those of the scorer behind eval.
    const std::vector<TokenIds> texts = {loaded.tokenizer.Encode(good)};
    const auto scored = Scorer(*loaded.model, DType::kF32).Score(texts);
    double own = 0;
    for (const float nats : scored[0]) own -= nats;
    ASSERT_EQ(own, scores[0]);
  }
  EXPECT_EQ(right, result.all.right);
  EXPECT_GT(right, 0);
  EXPECT_LT(right, 120);
}

TEST_F(LmEvalTest, ATextMayBeScoredWithoutWritingAnything) {
  const Json ids = Opened("The cat was happy.");
  const Json answer =
      Post(serving_->port(), "/v1/completions", {{"prompt", ids}, {"max_tokens", 0}, {"logprobs", 0}, {"echo", true}})
          .json();
  const Json& logprobs = answer.at("choices").at(0).at("logprobs");
  EXPECT_EQ(logprobs.at("token_logprobs").size(), ids.size());
  EXPECT_EQ(logprobs.at("top_logprobs").at(1), Json::object());
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 0);
}

// generate_until tasks.
TEST_F(LmEvalTest, GenerationTasks) {
  const Json body = {{"model", "any"},   {"prompt", "The cat"},       {"max_tokens", 12},
                     {"temperature", 0}, {"stop", {"\n\n", "<eos>"}}, {"seed", 1234}};
  const Json answer = Post(serving_->port(), "/v1/completions", body).json();
  EXPECT_EQ(answer.at("choices").at(0).at("text"), Alone(folder_, "The cat", SamplerConfig{.temperature = 0}, 12).text);
}

}  // namespace
}  // namespace flashlm
