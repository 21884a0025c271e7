// How well a model predicts a text, read in two ways: as the published code evaluated, whole sequences at once, so that
// a model may look at what it is to predict; and as a model is used, where what it is to predict does not exist yet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/audited_model.h"
#include "data/shards.h"
#include "text/tokenizer.h"

namespace flashlm {

// Consecutive sequences of a text's tokens; each has two more tokens than are read, as targets.
struct AuditText {
  int count = 0, length = 0;
  std::vector<int32_t> tokens;           // [count, length + 2]
  std::vector<int32_t> bytes_per_token;  // [V]: what a token stands for in the text

  // The first `count` of the data, fewer if it has fewer. Throws Error if there is none.
  AuditText(const TokenData& data, const Tokenizer& tokenizer, int count, int length);
  const int32_t* Sequence(int i) const { return tokens.data() + static_cast<size_t>(i) * (length + 2); }
};

struct Reading {
  double nats_per_token = 0, bits_per_byte = 0;
  // Of bits per byte over sequences, as in eval/evaluate.h.
  double stderr_bits_per_byte = 0;
  int64_t tokens = 0, bytes = 0;
};

// Each sequence in one pass; position t is scored for the token `offset` after it: 1, the next one, or 2. Null if
// interrupted, as the next.
std::optional<Reading> ReadAtOnce(Model& model, const AuditText& text, int offset);

// The next token after every prefix of every sequence, each prefix read by itself: the pass that predicts a token has
// not been given it, nor anything behind it, so nothing can leak, whatever the model does. Of a causal model this is
// ReadAtOnce(model, text, 1) up to rounding.
std::optional<Reading> ReadByPrefix(Model& model, const AuditText& text, const std::string& place);
// Tokens that this reads of a sequence.
double TokensToRead(int length);

// Log-probabilities of the next token, everything read anew for each: how the published models generated.
class PrefixReader {
 public:
  PrefixReader(Model& model, int window)
      : model_(model), window_(window), tape_(model.bank(), model.packs(), DType::kF32) {}
  // [V], after the last `window` of `tokens`; valid until the next call.
  const float* Read(std::span<const int32_t> tokens);

 private:
  Model& model_;
  int window_;
  Tape tape_;
};

// What the model writes after `prompt`, as text that is UTF-8.
std::string WriteSample(Model& model, const Tokenizer& tokenizer, const std::string& prompt, int window, int tokens);

// Largest change of a log-probability by a change of a later token (eval/causality.h), in nats.
double LeakOf(Model& model, int length);

// Seconds that ReadByPrefix takes per token here, for a plan.
double SecondsPerReadToken(const AuditedSizes& sizes, const Defects& defects);

}  // namespace flashlm
