#include "ngram/ngram_model.h"

#include <limits>
#include <numeric>

#include "base/error.h"
#include "ngram/count_codes.h"

namespace flashlm {

NGramModel::NGramModel(int order, int vocab)
    : order_(order), vocab_(vocab), discounts_(static_cast<size_t>(order)), levels_(static_cast<size_t>(order)) {
  FLASHLM_CHECK(order >= 2 && order <= kMaxNGramOrder && vocab >= 1 && vocab <= 65536, "n-grams of {} among {} tokens",
                order, vocab);
  levels_[0].counts.assign(static_cast<size_t>(vocab), 0);
  for (size_t n = 0; n + 1 < levels_.size(); ++n) {
    levels_[n].pruned.assign(levels_[n].counts.size(), 0);
    levels_[n].first.assign(levels_[n].counts.size() + 1, 0);
  }
  Derive();
}

bool NGramModel::SumsFit() const {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const auto& decoded = DecodedCounts();
  const auto sum = [&](const std::vector<uint8_t>& codes, size_t begin, size_t end) {
    int64_t all = 0;
    for (size_t i = begin; i < end; ++i) all += decoded[codes[i]];
    return all;
  };
  if (sum(levels_[0].counts, 0, levels_[0].counts.size()) > kMost) return false;
  for (size_t n = 1; n < levels_.size(); ++n) {
    const Level& contexts = levels_[n - 1];
    for (size_t node = 0; node < contexts.counts.size(); ++node) {
      if (sum(levels_[n].counts, contexts.first[node], contexts.first[node + 1]) + decoded[contexts.pruned[node]] >
          kMost) {
        return false;
      }
    }
  }
  return true;
}

// What follows from counts: sums of contexts, and the shortest n-grams' probabilities.
void NGramModel::Derive() {
  const auto& decoded = DecodedCounts();
  ContextSums root;
  for (const uint8_t code : levels_[0].counts) root.Add(decoded[code], true);
  const float uniform = 1.0f / static_cast<float>(vocab_);
  unigrams_.assign(static_cast<size_t>(vocab_), uniform);
  if (root.total > 0) {
    const float total = static_cast<float>(root.total), gamma = root.Gamma(discounts_[0]);
    for (size_t v = 0; v < unigrams_.size(); ++v) {
      unigrams_[v] = Interpolate(DiscountedShare(decoded[levels_[0].counts[v]], discounts_[0], total), gamma, uniform);
    }
  }
  for (size_t n = 1; n < levels_.size(); ++n) {
    Level& contexts = levels_[n - 1];
    contexts.total.resize(contexts.counts.size());
    contexts.gamma.resize(contexts.counts.size());
    for (size_t node = 0; node < contexts.counts.size(); ++node) {
      ContextSums sums;
      for (uint32_t i = contexts.first[node]; i < contexts.first[node + 1]; ++i) {
        sums.Add(decoded[levels_[n].counts[i]], true);
      }
      sums.Add(decoded[contexts.pruned[node]], false);
      contexts.total[node] = static_cast<float>(sums.total);
      contexts.gamma[node] = sums.total > 0 ? sums.Gamma(discounts_[n]) : 1.0f;
    }
  }
}

int64_t NGramModel::NGrams() const {
  int64_t all = 0;
  for (int n = 1; n <= order_; ++n) all += NGrams(n);
  return all;
}

int64_t NGramModel::MemoryBytes() const {
  size_t bytes = unigrams_.size() * sizeof(float);
  for (const Level& level : levels_) {
    bytes += level.words.size() * sizeof(uint16_t) + level.counts.size() + level.first.size() * sizeof(uint32_t) +
             level.pruned.size() + (level.total.size() + level.gamma.size()) * sizeof(float);
  }
  return static_cast<int64_t>(bytes);
}

NGramContext NGramModel::Start() const {
  NGramContext context;
  context.nodes.fill(NGramContext::kNone);
  return context;
}

uint32_t NGramModel::Child(int n, uint32_t node, int32_t token) const {
  if (node == NGramContext::kNone) return NGramContext::kNone;
  const std::vector<uint32_t>& first = levels_[static_cast<size_t>(n - 1)].first;
  const std::vector<uint16_t>& words = levels_[static_cast<size_t>(n)].words;
  const auto begin = words.begin() + first[node], end = words.begin() + first[node + 1];
  const auto found = std::lower_bound(begin, end, static_cast<uint16_t>(token));
  return found != end && *found == token ? static_cast<uint32_t>(found - words.begin()) : NGramContext::kNone;
}

NGramContext NGramModel::Advance(const NGramContext& context, int32_t token) const {
  NGramContext next = Start();
  next.nodes[0] = static_cast<uint32_t>(token);
  for (int n = 2; n < order_; ++n) {
    next.nodes[static_cast<size_t>(n - 1)] = Child(n - 1, context.nodes[static_cast<size_t>(n - 2)], token);
  }
  return next;
}

float NGramModel::Share(int n, uint32_t ngram, float total) const {
  const uint32_t count = DecodedCounts()[levels_[static_cast<size_t>(n - 1)].counts[ngram]];
  return DiscountedShare(count, discounts_[static_cast<size_t>(n - 1)], total);
}

float NGramModel::Probability(const NGramContext& context, int32_t token) const {
  float p = unigrams_[static_cast<size_t>(token)];
  for (int n = 2; n <= order_; ++n) {
    const uint32_t node = context.nodes[static_cast<size_t>(n - 2)];
    if (node == NGramContext::kNone) break;  // longer ones were not counted either
    const Level& contexts = levels_[static_cast<size_t>(n - 2)];
    if (contexts.total[node] == 0) continue;
    const uint32_t ngram = Child(n - 1, node, token);
    const float share = ngram == NGramContext::kNone ? 0.0f : Share(n, ngram, contexts.total[node]);
    p = Interpolate(share, contexts.gamma[node], p);
  }
  return p;
}

void NGramModel::Distribution(const NGramContext& context, float* p) const {
  std::copy(unigrams_.begin(), unigrams_.end(), p);
  for (int n = 2; n <= order_; ++n) {
    const uint32_t node = context.nodes[static_cast<size_t>(n - 2)];
    if (node == NGramContext::kNone) break;
    const Level& contexts = levels_[static_cast<size_t>(n - 2)];
    if (contexts.total[node] == 0) continue;
    const float gamma = contexts.gamma[node];
#pragma omp simd
    for (int v = 0; v < vocab_; ++v) p[v] *= gamma;
    AddShares(n, node, p);
  }
}

// What n-grams of n tokens that go on from a context give to their last tokens.
void NGramModel::AddShares(int n, uint32_t node, float* p) const {
  const Level& contexts = levels_[static_cast<size_t>(n - 2)];
  const Level& level = levels_[static_cast<size_t>(n - 1)];
  const float total = contexts.total[node];
  const Discounts& discounts = discounts_[static_cast<size_t>(n - 1)];
  const auto& decoded = DecodedCounts();
  const uint32_t begin = contexts.first[node], end = contexts.first[node + 1];
  // Of many n-grams most have counts that others have: a division for each of the codes is less than one for each.
  std::array<float, 256> share;
  const bool many = end - begin > share.size();
  for (size_t code = 0; many && code < share.size(); ++code) {
    share[code] = DiscountedShare(decoded[code], discounts, total);
  }
  for (uint32_t i = begin; i < end; ++i) {
    const uint8_t code = level.counts[i];
    p[level.words[i]] += many ? share[code] : DiscountedShare(decoded[code], discounts, total);
  }
}

void NGramModel::Features(const NGramContext& context, ContextFeatures* features) const {
  for (int n = 2; n <= order_; ++n) {
    const uint32_t node = context.nodes[static_cast<size_t>(n - 2)];
    const Level& contexts = levels_[static_cast<size_t>(n - 2)];
    features[n - 2] = node == NGramContext::kNone ? ContextFeatures{}
                                                  : ContextFeatures::Of(contexts.total[node], contexts.gamma[node]);
  }
}

}  // namespace flashlm
