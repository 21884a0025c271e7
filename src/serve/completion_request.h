// What a client asks for: the bodies of /v1/completions and /v1/chat/completions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "infer/sampler.h"
#include "serve/body_fields.h"
#include "text/tokenizer.h"

namespace flashlm {

// What a request may ask for at most.
struct RequestLimits {
  int prompt_tokens = 16384;
  int new_tokens = 4096;  // of each text
  int texts = 128;        // of a request: prompts times n
  int likely = 20;        // alternatives of a token
  int stops = 16;
  size_t stop_bytes = 256;
};

struct Prompt {
  std::vector<uint16_t> ids;  // without the <eos> that opens every document
  bool opened = false;        // the client gave that <eos> itself, so it counts as one of its tokens
};

struct CompletionRequest {
  bool chat = false;
  std::string model;  // "": whichever there is
  std::vector<Prompt> prompts;
  int texts = 1;  // of each prompt ("n")
  SamplerConfig sampler;
  bool seeded = false;  // by the client: then the same prompt twice is the same text twice
  int max_tokens = 16;
  std::vector<std::string> stops;
  bool echo = false, stream = false, include_usage = false;
  int likely = -1;       // alternatives given with each token; -1: no log-probabilities at all
  bool details = false;  // what else the model says of each token (docs/serving.md)
};

// Throw ApiError for anything that is not as it should be. `tokenizer`: of the model that is asked; its name is read
// first, by ModelNameOf.
std::string ModelNameOf(const Json& body);
CompletionRequest ReadCompletionRequest(const Json& body, const Tokenizer& tokenizer, const RequestLimits& limits);
CompletionRequest ReadChatRequest(const Json& body, const Tokenizer& tokenizer, const RequestLimits& limits);

// How messages become one text: their contents in order, a line break between them; the model goes on with the last.
// These models write stories and know no turns. The same as a Jinja template, for clients that apply it themselves.
extern const char* const kChatTemplate;

// A text that begins with the letters "<eos>" begins with that token (what clients get from /detokenize), no other
// place has a reserved one.
Prompt EncodePrompt(const Tokenizer& tokenizer, std::string_view text);
// Names of the reserved ids 0 to 3.
extern const char* const kReservedNames[4];

}  // namespace flashlm
