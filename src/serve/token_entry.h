// What a client is told of single tokens (`logprobs`, and our own `details`).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/json.h"
#include "serve/stream_job.h"
#include "text/tokenizer.h"

namespace flashlm {

struct TokenEntry {
  DrawnToken token;
  bool scored = true;     // false: the first of a prompt, of which nothing is told
  int64_t character = 0;  // where its text begins in the choice's text
};

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of /v1/completions. Where a token is among the likeliest
// its two numbers are the same; null for what is not scored.
Json CompletionLogprobs(std::span<const TokenEntry> entries, const Tokenizer& tokenizer);
// {"content": [{"token", "logprob", "bytes", "top_logprobs"}]} of chats.
Json ChatLogprobs(std::span<const TokenEntry> entries, const Tokenizer& tokenizer);
// [{"id", "value", "ngram_gate", "depth"}], null where the model has none.
Json TokenDetails(std::span<const TokenEntry> entries);

}  // namespace flashlm
