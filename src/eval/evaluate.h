// How well a model predicts text: cross-entropy over whole documents, in bits per byte
// (docs/spec/data.md#bits-per-byte).
//
// A document is stripped and scored from <eos> as its first context to its closing <eos>, every token exactly
// once, with all of the document before it as context. Bits per byte = all nats / (ln 2 * bytes of the
// stripped documents): the closing <eos> costs nats and brings no bytes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/scorer.h"
#include "text/tokenizer.h"

namespace flashlm {

struct EvalResult {
  double nats = 0;      // of all scored tokens
  double eos_nats = 0;  // of the closing <eos> among them
  // Standard error of bits per byte over documents, which are the independent units of text: of the ratio
  // sum(bits_d) / sum(bytes_d), from the residuals bits_d - ratio * bytes_d. 0 for a single document.
  double stderr_bits_per_byte = 0;
  int64_t bytes = 0, chars = 0;  // of the stripped documents; chars are Unicode code points
  int64_t tokens = 0;            // scored: with one <eos> per document
  int64_t documents = 0;
  double seconds = 0;
  // Nats by how far into its document a token stands, the first being 1: buckets 1, 2-4, 5-16, 17-64, ..., up to 4^b.
  struct Bucket {
    int64_t tokens = 0;
    double nats = 0;
  };
  std::vector<Bucket> by_position;
  // Of a model with a reasoning engine, by the passes that its tokens made.
  std::array<Scorer::ByDepth, kernels::kDepthChoices> by_depth{};
  // Of a model with value heads, by layer: the correlation of what they expect with the mean nats of the next
  // kValueHorizon tokens.
  std::vector<double> value_correlation;

  double nats_per_token() const { return nats / static_cast<double>(tokens); }
  double nats_per_token_without_eos() const { return (nats - eos_nats) / static_cast<double>(tokens - documents); }
  double bits_per_byte() const;
  double bits_per_char() const;
};
// What `flashlm eval --json` promises (nats_per_token, bits_per_byte, bits_per_char, stderr_bits_per_byte,
// bytes, tokens, documents), and chars, nats_per_token_without_eos, perplexity (per token), seconds,
// tokens_per_s; of a model with a reasoning engine tokens_by_depth and nats_by_depth, with value heads
// value_correlation.
Json ToJson(const EvalResult& result);
// {"1": share of the tokens, "3": ..., "8": ...}, and their nats per token, null where there were none.
Json SharesByDepth(std::span<const Scorer::ByDepth> by_depth);
Json NatsByDepth(std::span<const Scorer::ByDepth> by_depth);
// by_position as [{"from", "to", "tokens", "nats_per_token"}], both ends being in the bucket.
Json NatsByPosition(const EvalResult& result);
// The same as lines of text.
std::string DescribeNatsByPosition(const EvalResult& result);
// value_correlation as a line of text; without value heads none.
std::string DescribeValueHeads(const EvalResult& result);

struct DocumentScore {
  int64_t document;               // from 0 on
  std::span<const uint16_t> ids;  // of the document, and the closing <eos>
  std::span<const float> nats;    // one for each id
};

struct EvalOptions {
  // Gets every document, in order. May be empty.
  std::function<void(const DocumentScore&)> on_document;
  // For a command: a progress line on stderr, and Ctrl-C ends the evaluation with an Error.
  bool interactive = false;
  // 0: all documents. Else the first of them, as many as are expected to take this many seconds at the speed of those
  // before, but at least `least_documents`; EvalResult says how many it were.
  double seconds = 0;
  size_t least_documents = 4;
};

// documents: not empty, each stripped and not empty. dtype: what matrix products read.
EvalResult Evaluate(Model& model, DType dtype, const Tokenizer& tokenizer, std::span<const std::string_view> documents,
                    const EvalOptions& options = {});

// The documents of a file, or of standard input for "-" (data/documents.h says how they are separated). With
// tokens_path, writes there one JSON object per scored token, in order: {"document", "position", "id", "bytes",
// "nats"}; "bytes" is how many bytes of text the token stands for, 0 for the closing <eos>. Throws Error for a file
// that is missing, empty or not UTF-8 text, UsageError if tokens_path is text_path.
EvalResult EvaluateFile(Model& model, DType dtype, const Tokenizer& tokenizer, const std::string& text_path,
                        const std::string& tokens_path, const EvalOptions& options);

}  // namespace flashlm
