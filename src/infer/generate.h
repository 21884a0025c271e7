// A prompt and its continuation, as a stream of text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "infer/sampler.h"
#include "infer/session.h"
#include "text/tokenizer.h"

namespace flashlm {

struct GenerateOptions {
  SamplerConfig sampler;
  int max_tokens = 200;
  // Candidates of search-guided decoding (infer/search.h), 0: plain sampling. Search draws nothing at random:
  // it takes the candidate with the largest log p - search_beta * value. (At temperature 0 the candidates'
  // log p lie so far apart that it takes the most probable one.)
  int search = 0;
  double search_beta = 1.0;
  // Asked before every token, for example for Ctrl-C or a client that hung up. May be empty.
  std::function<bool()> stop_requested;
};

enum class StopReason : uint8_t { kEos, kLength, kRequest };
const char* NameOf(StopReason reason);  // "eos", "length", "request"

struct Generation {
  std::vector<int32_t> tokens;  // generated, without the closing <eos>
  std::string text;             // of these tokens alone; always valid UTF-8 (infer/utf8_stream.h)
  StopReason stop_reason = StopReason::kLength;
  int prompt_tokens = 0;  // without the <eos> that is read before every document
  double prompt_seconds = 0, seconds = 0;
  double prompt_tokens_per_s() const { return (prompt_tokens + 1) / prompt_seconds; }  // as read, <eos> included
  double tokens_per_s() const;
};
// {"text", "tokens", "stop_reason", "prompt_tokens", "generated_tokens", "prompt_tokens_per_s",
// "tokens_per_s"}
Json ToJson(const Generation& generation);

// Starts a new document in `session` (one row): <eos>, then the prompt. on_text gets the text piece by piece,
// each of whole characters, as soon as it is known; it may be empty. Throws UsageError for options out of
// range and Error for search without value heads.
Generation Generate(Session& session, const Tokenizer& tokenizer, std::string_view prompt,
                    const GenerateOptions& options, const std::function<void(std::string_view piece)>& on_text);

}  // namespace flashlm
