// From log-probabilities to a token (docs/spec/search.md#sampling).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/fields.h"

namespace flashlm {

struct SamplerConfig {
  double temperature = 0.8;
  int top_k = 0;
  double top_p = 0.95;
  double min_p = 0;
  double frequency_penalty = 0;
  int penalty_window = 100;
  int64_t seed = 1;

  void VisitFields(FieldVisitor& v) {
    v.Real("temperature", temperature, 0, 100, "divides the logits; 0: always the most probable token");
    v.Int("top_k", top_k, 0, 1 << 20, "keep the k most probable tokens, ties included; 0: all");
    v.Real("top_p", top_p, 0, 1, "keep the shortest list of tokens whose mass exceeds p; 1: all");
    v.Real("min_p", min_p, 0, 1, "drop tokens below this fraction of the most probable one's probability");
    v.Real("frequency_penalty", frequency_penalty, -100, 100, "taken from a logit per recent occurrence");
    v.Int("penalty_window", penalty_window, 0, 1 << 20, "how many tokens back an occurrence is recent");
    v.Int64("seed", seed, 0, INT64_MAX, "the same seed draws the same text");
  }
};

struct Candidate {
  int32_t token = 0;
  float logit = 0;   // log-probability / temperature - penalty
  float weight = 0;  // exp(logit - largest logit): the probability, up to a factor common to all
};

// A draw is a function of (seed, position) and its arguments, whatever was drawn before. The ids <pad>, <unk>
// and <bos> are never drawn. Keeps its working memory: no allocation after the first few calls.
class Sampler {
 public:
  // Throws UsageError for a value out of the range given above.
  explicit Sampler(const SamplerConfig& config);

  // log_probs: [V]. history: prompt and output so far, of which the last penalty_window tokens are penalised.
  // position: of the token to be drawn, in its stream.
  int32_t Sample(std::span<const float> log_probs, std::span<const int32_t> history, int64_t position);

  // The `count` most probable tokens of the filtered distribution, best first, equal ones by id; fewer if the
  // filters leave fewer. log_p: log-probability within the filtered distribution. Valid until the next call.
  struct Choice {
    int32_t token;
    double log_p;
  };
  std::span<const Choice> Best(std::span<const float> log_probs, std::span<const int32_t> history, int count);

 private:
  void ApplyTemperatureAndPenalty(std::span<const float> log_probs, std::span<const int32_t> history);
  // Leaves in candidates_ what top-k, nucleus and min-p keep, most probable first; or, if none of them is on,
  // all tokens by id. Returns the sum of their weights.
  double Filter();
  // The k-th largest logit, or minus infinity if there are no more than k.
  float KthLargest(int k);
  // candidates_ = the tokens of at least this logit, by id. Returns the sum of their weights.
  double Select(float lowest);
  // Leaves those of candidates_ that nucleus and min-p keep, best first. False if that is all of them.
  bool CutHead(double mass);

  SamplerConfig config_;
  std::vector<float> logits_;  // [V - 3]: those of the tokens that may be drawn
  size_t best_ = 0;            // the place of the largest
  std::vector<Candidate> candidates_;
  std::vector<int32_t> places_;  // of Select
  std::vector<float> scratch_;   // of KthLargest
  std::vector<int32_t> counts_;  // [V], all zero between calls
  std::vector<Choice> choices_;
};

}  // namespace flashlm
