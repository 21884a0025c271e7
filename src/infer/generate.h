// A prompt and its continuation, as a stream of text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "infer/sampler.h"
#include "infer/session.h"
#include "infer/utf8_stream.h"
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

// A text being written, one token at a time.
class Generator {
 public:
  // Starts a new document in `session` (one row): <eos>, then the prompt. Both must outlive the generator. Throws
  // UsageError for options out of range and Error for search without value heads.
  Generator(Session& session, const Tokenizer& tokenizer, std::string_view prompt, const GenerateOptions& options);
  ~Generator();

  // Writes a token, or at the end of the text what is left of a broken character. False when nothing is left.
  bool Next();
  // Ends the text here, as a request.
  void Stop();
  // What has become readable by it: whole characters, maybe none. Valid until the next call.
  std::string_view piece() const { return piece_; }
  // So far; its seconds are those spent in here.
  const Generation& generation() const { return out_; }

 private:
  class Continuation;
  bool Write();  // a token; false if the text ends instead

  const Tokenizer& tokenizer_;
  GenerateOptions options_;
  std::unique_ptr<Continuation> continuation_;
  Utf8Stream utf8_;
  Generation out_;
  std::string_view piece_;
  bool over_ = false;
};

// All of a text. on_text gets it piece by piece, each of whole characters, as soon as it is known; it may be empty.
// Throws as Generator does.
Generation Generate(Session& session, const Tokenizer& tokenizer, std::string_view prompt,
                    const GenerateOptions& options, const std::function<void(std::string_view piece)>& on_text);

}  // namespace flashlm
