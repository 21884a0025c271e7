#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/loss/loss.h"
#include "kernels/vector/vector.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// Temperature 0 is the limit of small ones.
constexpr double kLowestTemperature = 1e-5;

// A total order, so that a sample does not depend on the library's sorting.
bool Better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

Sampler::Sampler(const SamplerConfig& config) { FieldsFromJson(FieldsToJson(config), "sampler", config_); }

void Sampler::ApplyTemperatureAndPenalty(std::span<const float> log_probs, std::span<const int32_t> history) {
  FLASHLM_CHECK(log_probs.size() > Tokenizer::kEos, "a vocabulary of {} holds nothing to sample", log_probs.size());
  const double scale = 1.0 / std::max(config_.temperature, kLowestTemperature);
  const std::span<const float> from = log_probs.subspan(Tokenizer::kEos);
  logits_.resize(from.size());
#pragma omp simd
  for (size_t i = 0; i < from.size(); ++i) logits_[i] = static_cast<float>(from[i] * scale);

  counts_.resize(log_probs.size(), 0);
  const size_t window = std::min(history.size(), static_cast<size_t>(config_.penalty_window));
  const auto recent = history.last(config_.frequency_penalty == 0 ? 0 : window);
  for (const int32_t token : recent) {
    FLASHLM_CHECK(token >= 0 && static_cast<size_t>(token) < counts_.size(), "token id {} in the history", token);
    ++counts_[static_cast<size_t>(token)];
  }
  for (const int32_t token : recent) {
    int32_t& count = counts_[static_cast<size_t>(token)];
    if (token >= Tokenizer::kEos && count > 0) {
      const auto i = static_cast<size_t>(token - Tokenizer::kEos);
      logits_[i] = static_cast<float>(from[i] * scale - config_.frequency_penalty * count);
    }
    count = 0;
  }
  best_ = static_cast<size_t>(kernels::Argmax(logits_.data(), std::ssize(logits_)));
  FLASHLM_CHECK(std::isfinite(logits_[best_]), "the model's probabilities are not numbers");
}

float Sampler::KthLargest(int k) {
  if (k >= std::ssize(logits_)) return -std::numeric_limits<float>::infinity();
  // A heap of the k largest so far: most of the vocabulary costs one comparison each.
  scratch_.assign(logits_.begin(), logits_.begin() + k);
  std::make_heap(scratch_.begin(), scratch_.end(), std::greater<>());
  for (auto logit = logits_.begin() + k; logit != logits_.end(); ++logit) {
    if (!(*logit > scratch_.front())) continue;
    std::pop_heap(scratch_.begin(), scratch_.end(), std::greater<>());
    scratch_.back() = *logit;
    std::push_heap(scratch_.begin(), scratch_.end(), std::greater<>());
  }
  return scratch_.front();
}

double Sampler::Select(float lowest) {
  places_.resize(logits_.size() + kernels::kIndicesSlack);
  const int64_t found = kernels::IndicesFrom(lowest, logits_.data(), std::ssize(logits_), places_.data());
  candidates_.clear();
  double mass = 0;
  for (const int32_t place : std::span(places_).first(static_cast<size_t>(found))) {
    const float logit = logits_[static_cast<size_t>(place)], weight = std::exp(logit - logits_[best_]);
    candidates_.push_back({place + Tokenizer::kEos, logit, weight});
    mass += weight;
  }
  return mass;
}

bool Sampler::CutHead(double mass) {
  // The masses are rounded: 1 means all, whatever they add up to.
  const double most = config_.top_p < 1 ? config_.top_p * mass : std::numeric_limits<double>::infinity();
  double before = 0;
  const auto begin = candidates_.begin();
  auto left = candidates_.end();  // from here on those that stay, the best last
  // What stays is short as a rule: a heap gives it without an order of all the rest.
  const auto worse = [](const Candidate& a, const Candidate& b) { return Better(b, a); };
  std::make_heap(begin, left, worse);
  while (left != begin) {
    const float weight = begin->weight;
    if (left != candidates_.end() && (before > most || double{weight} < config_.min_p)) break;
    before += weight;
    std::pop_heap(begin, left--, worse);
  }
  const bool cut = left != begin;
  candidates_.erase(begin, left);
  std::reverse(candidates_.begin(), candidates_.end());
  return cut;
}

double Sampler::Filter() {
  constexpr float kAll = -std::numeric_limits<float>::infinity();
  if (config_.top_k > 0) {
    CutHead(Select(KthLargest(config_.top_k)));
  } else if (config_.top_p >= 1 && config_.min_p == 0) {
    return Select(kAll);
  } else {
    const double mass = kernels::SumOfPowers(logits_.data(), std::ssize(logits_), logits_[best_]);
    // What is kept are a few tokens of many as a rule: look only at what comes close to the best, and more if need be.
    for (float reach = 5;; reach *= 2) {
      const float from = logits_[best_] - reach;
      const bool too_few = Select(from) <= config_.top_p * mass && std::exp(-reach) >= config_.min_p;
      if (too_few && candidates_.size() < logits_.size() && from != kAll) continue;
      if (CutHead(mass) || candidates_.size() == logits_.size() || from == kAll) break;
    }
  }
  double kept = 0;
  for (const Candidate& c : candidates_) kept += c.weight;
  return kept;
}

int32_t Sampler::Sample(std::span<const float> log_probs, std::span<const int32_t> history, int64_t position) {
  ApplyTemperatureAndPenalty(log_probs, history);
  if (config_.temperature == 0) return Tokenizer::kEos + static_cast<int32_t>(best_);
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

std::span<const Sampler::Choice> Sampler::Best(std::span<const float> log_probs, std::span<const int32_t> history,
                                               int count) {
  ApplyTemperatureAndPenalty(log_probs, history);
  const double log_mass = std::log(Filter());
  const auto wanted = std::min(candidates_.size(), static_cast<size_t>(count));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(wanted), candidates_.end(),
                    Better);
  const float largest = candidates_.front().logit;
  choices_.clear();
  for (size_t i = 0; i < wanted; ++i) {
    const Candidate& c = candidates_[i];
    choices_.push_back({c.token, static_cast<double>(c.logit) - largest - log_mass});
  }
  return choices_;
}

}  // namespace flashlm
