#include "infer/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// SPEC 1.9: temperature 0 is the limit of small ones.
constexpr double kLowestTemperature = 1e-5;

// A total order, so that a sample does not depend on the library's sorting.
bool Better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}
bool Worse(const Candidate& a, const Candidate& b) { return Better(b, a); }

}  // namespace

Sampler::Sampler(const SamplerConfig& config) { FieldsFromJson(FieldsToJson(config), "sampler", config_); }

void Sampler::ApplyTemperatureAndPenalty(std::span<const float> log_probs, std::span<const int32_t> history) {
  FLASHLM_CHECK(log_probs.size() > Tokenizer::kEos, "a vocabulary of {} holds nothing to sample",
                log_probs.size());
  counts_.resize(log_probs.size(), 0);
  const size_t window = std::min(history.size(), static_cast<size_t>(config_.penalty_window));
  const auto recent = history.last(config_.frequency_penalty == 0 ? 0 : window);
  for (const int32_t token : recent) {
    FLASHLM_CHECK(token >= 0 && static_cast<size_t>(token) < counts_.size(), "token id {} in the history",
                  token);
    ++counts_[static_cast<size_t>(token)];
  }
  const double scale = 1.0 / std::max(config_.temperature, kLowestTemperature);
  candidates_.resize(log_probs.size() - Tokenizer::kEos);
  for (size_t id = Tokenizer::kEos; id < log_probs.size(); ++id) {
    const double logit = log_probs[id] * scale - config_.frequency_penalty * counts_[id];
    candidates_[id - Tokenizer::kEos] = {static_cast<int32_t>(id), static_cast<float>(logit), 0};
  }
  for (const int32_t token : recent) counts_[static_cast<size_t>(token)] = 0;
}

void Sampler::KeepTopK() {
  const auto k = static_cast<std::ptrdiff_t>(config_.top_k);
  if (k == 0 || k >= std::ssize(candidates_)) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + (k - 1), candidates_.end(), Better);
  const float smallest = candidates_[static_cast<size_t>(k - 1)].logit;
  const auto end = std::partition(candidates_.begin() + k, candidates_.end(),
                                  [&](const Candidate& c) { return c.logit == smallest; });
  candidates_.erase(end, candidates_.end());
}

double Sampler::Weigh() {
  const float largest = std::min_element(candidates_.begin(), candidates_.end(), Better)->logit;
  FLASHLM_CHECK(std::isfinite(largest), "the model's probabilities are not numbers");
  double mass = 0;
  for (Candidate& c : candidates_) mass += c.weight = std::exp(c.logit - largest);
  return mass;
}

void Sampler::KeepHead(double mass) {
  // The kept tokens are few: taking them off a heap one by one beats sorting the vocabulary.
  std::make_heap(candidates_.begin(), candidates_.end(), Worse);
  auto end = candidates_.end();
  double before = 0;  // mass of those already taken
  while (end != candidates_.begin()) {
    const bool first = end == candidates_.end();
    const Candidate& next = candidates_.front();
    if (!first && (before > config_.top_p * mass || double{next.weight} < config_.min_p)) break;
    before += next.weight;
    std::pop_heap(candidates_.begin(), end--, Worse);
  }
  // Taken ones stand at the back, the best last.
  candidates_.erase(candidates_.begin(), end);
  std::reverse(candidates_.begin(), candidates_.end());
}

double Sampler::Filter() {
  KeepTopK();
  const double mass = Weigh();
  if (config_.top_p >= 1 && config_.min_p == 0 && config_.top_k == 0) return mass;
  KeepHead(mass);
  double kept = 0;
  for (const Candidate& c : candidates_) kept += c.weight;
  return kept;
}

int32_t Sampler::Sample(std::span<const float> log_probs, std::span<const int32_t> history,
                        int64_t position) {
  ApplyTemperatureAndPenalty(log_probs, history);
  if (config_.temperature == 0) {
    return std::min_element(candidates_.begin(), candidates_.end(), Better)->token;
  }
  const double mass = Filter();
  Rng rng(static_cast<uint64_t>(config_.seed), Purpose::kSampling, static_cast<uint64_t>(position));
  const double target = rng.UniformDouble() * mass;
  double sum = 0;  // in the order in which Filter summed the mass, so that it ends there
  int32_t drawn = candidates_.front().token;
  for (const Candidate& c : candidates_) {
    if (c.weight == 0) continue;
    drawn = c.token;
    sum += c.weight;
    if (sum > target) break;
  }
  return drawn;
}

std::span<const Sampler::Choice> Sampler::Best(std::span<const float> log_probs,
                                               std::span<const int32_t> history, int count) {
  ApplyTemperatureAndPenalty(log_probs, history);
  const double log_mass = std::log(Filter());
  const auto wanted = std::min(candidates_.size(), static_cast<size_t>(count));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(wanted),
                    candidates_.end(), Better);
  const float largest = candidates_.front().logit;
  choices_.clear();
  for (size_t i = 0; i < wanted; ++i) {
    const Candidate& c = candidates_[i];
    choices_.push_back({c.token, static_cast<double>(c.logit) - largest - log_mass});
  }
  return choices_;
}

}  // namespace flashlm
