// Bodies that were damaged at random: each is understood or refused in OpenAI's form, and nothing else happens.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "serve/completion_request.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

constexpr const char* kBodies[] = {
    R"({"model": "m", "prompt": "Once upon", "max_tokens": 16, "temperature": 0.7, "top_p": 0.9, "n": 2, "stop": ["a", "b"]})",
    R"({"prompt": [[3, 10, 20], [5]], "logprobs": 1, "echo": true, "seed": 1234, "stream": true,
        "stream_options": {"include_usage": true}})",
    R"({"prompt": ["é", "猫", "\u00e9\ud83d\ude00"], "top_k": 5, "min_p": 1e-3, "frequency_penalty": -0.5, "details": true})",
    R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "user", "content": "b"}],
        "max_completion_tokens": 5, "logprobs": true, "top_logprobs": 3})"};
constexpr const char* kPieces[] = {"-1",
                                   "1e999",
                                   "4294967297",
                                   "null",
                                   "[",
                                   "]",
                                   "{",
                                   "}",
                                   "\"",
                                   ",",
                                   ":",
                                   "NaN",
                                   "\xff",
                                   "\\u",
                                   "\\",
                                   "\"n\":1",
                                   "true",
                                   "0.5",
                                   "e",
                                   "\xf0\x9f",
                                   "\n",
                                   "18446744073709551616",
                                   "\\ud800",
                                   "\"prompt\":",
                                   "[[[[[[[[[[[[[[[[[[[[",
                                   "\0"};

std::string Damaged(Rng& rng) {
  std::string body = kBodies[rng.Below(std::size(kBodies))];
  for (uint64_t i = rng.Below(5); i > 0; --i) {
    const size_t at = rng.Below(body.size() + 1), count = rng.Below(6);
    switch (rng.Below(4)) {
      case 0:
        body.insert(at, kPieces[rng.Below(std::size(kPieces))]);
        break;
      case 1:
        body.erase(at, count);
        break;
      case 2:
        if (at < body.size()) body[at] = static_cast<char>(rng.Below(256));
        break;
      default:
        body.insert(at, body.substr(rng.Below(body.size() + 1), 4 * count));
    }
    if (body.empty()) body = "{";
  }
  return body;
}

TEST(BodyMutations, AreUnderstoodOrRefused) {
  Rng rng(1, Purpose::kTest);
  const Tokenizer& tokenizer = TinyTokenizer();
  int understood = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string body = Damaged(rng);
    try {
      const Json json = ParseBody(body);
      const CompletionRequest request = json.contains("messages")
                                            ? ReadChatRequest(json, tokenizer, RequestLimits())
                                            : ReadCompletionRequest(json, tokenizer, RequestLimits());
      ++understood;
      ASSERT_LE(request.texts * std::ssize(request.prompts), RequestLimits().texts) << body;
      ASSERT_TRUE(request.max_tokens >= 0 && request.max_tokens <= RequestLimits().new_tokens) << body;
      Sampler sampler(request.sampler);  // throws for what is out of range
    } catch (const ApiError& e) {
      ++refused;
      ASSERT_EQ(e.status(), 400) << body;
      ASSERT_NO_THROW(static_cast<void>(e.ToJson().dump())) << body;  // valid UTF-8
      ASSERT_LT(std::string(e.what()).size(), 300u) << body;
    } catch (const std::exception& e) {
      FAIL() << e.what() << "\n" << body;
    }
  }
  EXPECT_GT(understood, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace flashlm
