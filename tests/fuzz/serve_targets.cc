// What clients send to `serve`: the body of a request, up to what is asked of a model.

#include "base/error.h"
#include "serve/completion_request.h"
#include "tests/fuzz/fuzz_target.h"

namespace flashlm {
namespace {

const Tokenizer& SmallTokenizer() {
  static const std::vector<std::string_view> kTexts = {"Once upon a time there was a little cat. The cat was happy."};
  static const Tokenizer tokenizer = Tokenizer::Train(kTexts, 280);
  return tokenizer;
}

void ExpectWithinLimits(const CompletionRequest& request, const RequestLimits& limits) {
  Expect(!request.prompts.empty() && request.texts >= 1, "a request for nothing");
  Expect(request.texts * std::ssize(request.prompts) <= limits.texts, "more texts than a request may ask for");
  Expect(request.max_tokens >= 0 && request.max_tokens <= limits.new_tokens, "longer texts than there may be");
  Expect(request.likely >= -1 && request.likely <= limits.likely, "more alternatives than there may be");
  Expect(std::ssize(request.stops) <= limits.stops, "more stops than there may be");
  for (const std::string& stop : request.stops) {
    Expect(!stop.empty() && stop.size() <= limits.stop_bytes, "a stop of no length, or of too much");
  }
  for (const Prompt& prompt : request.prompts) {
    Expect(std::ssize(prompt.ids) <= limits.prompt_tokens, "a longer prompt than there may be");
    for (const uint16_t id : prompt.ids) Expect(id < SmallTokenizer().vocab_size(), "an id outside the vocabulary");
  }
  const Sampler sampler(request.sampler);  // throws for what is out of range
}

// A completion, or a chat where there are messages. What is refused is the client's fault, in words that can be sent.
FLASHLM_FUZZ_TARGET(http_body) {
  const RequestLimits limits;
  try {
    const Json body = ParseBody(std::string(bytes));
    ModelNameOf(body);
    ExpectWithinLimits(body.contains("messages") ? ReadChatRequest(body, SmallTokenizer(), limits)
                                                 : ReadCompletionRequest(body, SmallTokenizer(), limits),
                       limits);
  } catch (const ApiError& e) {
    Expect(e.status() == 400, "a refusal that blames the server");
    Expect(e.ToJson().dump().size() < 1000, "a refusal that repeats what was sent");  // dump: throws unless it is UTF-8
    throw Error("refused");
  }
}

}  // namespace
}  // namespace flashlm
