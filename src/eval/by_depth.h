// What depth buys a model with a reasoning engine, and what it costs: the same text or the same probes with all tokens
// forced to 1, 3 and 8 passes, and with each token choosing its own.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "eval/probe.h"

namespace flashlm {

inline constexpr std::array<int, 4> kComparedDepths = {1, 3, 8, 0};  // 0: each token chooses

// What a model has read, how long it took, and how deep its tokens went.
struct ReaderCost {
  int64_t tokens = 0;
  double seconds = 0;
  std::array<Scorer::ByDepth, kernels::kDepthChoices> by_depth{};

  double MicrosecondsPerToken() const { return tokens > 0 ? 1e6 * seconds / static_cast<double>(tokens) : 0; }
};

// Throws UsageError for a model that has no depth, before any work.
void RefuseByDepth(const Model& model);

struct DepthText {
  int depth;
  EvalResult result;
};
// Throws UsageError for a model that has no depth, or text that can be read only once; else as EvaluateFile. The model
// keeps its depth.
std::vector<DepthText> EvaluateByDepth(Model& model, DType dtype, const Tokenizer& tokenizer,
                                       const std::string& text_path, const EvalOptions& options);

struct DepthProbes {
  int depth;
  ReaderCost cost;  // of the model's own readings, controls included
  std::vector<ProbeCategoryResult> results;
};
// Of the model and of the untrained one at the same depth, beside the same bigrams. Both keep their depth.
std::vector<DepthProbes> RunProbesByDepth(Model& model, Model& untrained, const TextScorer& bigrams, DType dtype,
                                          const Tokenizer& tokenizer, const ProbeOptions& options);

// [{"depth": 1, 3, 8 or "adaptive", "us_per_token", "tokens_by_depth": {"1": share, ...}, "nats_per_token",
// "bits_per_byte", "stderr_bits_per_byte", "nats_by_depth"}], and of probes in place of the last four "categories", as
// ProbesToJson. The adaptive one also has "gain_kept", what it gains over depth 1 as a part of what depth 8 gains (null
// where depth 8 gains nothing; of probes by category), and "extra_time", likewise.
Json ToJson(std::span<const DepthText> depths);
Json ToJson(std::span<const DepthProbes> depths);
// The same as tables.
std::string Describe(std::span<const DepthText> depths);
std::string Describe(std::span<const DepthProbes> depths);

}  // namespace flashlm
