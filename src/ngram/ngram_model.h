// A counted language model: token n-grams with interpolated modified Kneser-Ney smoothing (ngram/smoothing.h), packed
// as a trie: three bytes for an n-gram, and for contexts where what follows them begins. Made by NGramCounts, or read
// from a file (docs/formats.md). Immutable; any number of threads may read it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ngram/features.h"
#include "ngram/smoothing.h"

namespace flashlm {

// Where a stream stands: the n-gram of its last k + 1 tokens, kNone if it was never counted.
struct NGramContext {
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  std::array<uint32_t, kMaxNGramOrder - 1> nodes;
};

class NGramModel {
 public:
  // Nothing counted: every token has 1 / vocab.
  NGramModel(int order, int vocab);

  int order() const { return order_; }
  int vocab() const { return vocab_; }
  int64_t counted_tokens() const { return counted_tokens_; }
  // n-grams of n tokens, 1 <= n <= order.
  int64_t NGrams(int n) const { return static_cast<int64_t>(levels_[static_cast<size_t>(n - 1)].counts.size()); }
  int64_t NGrams() const;  // all
  int64_t MemoryBytes() const;

  // Before anything was read.
  NGramContext Start() const;
  // token in [0, vocab).
  NGramContext Advance(const NGramContext& context, int32_t token) const;

  // p(token | context) > 0. A microsecond at most.
  float Probability(const NGramContext& context, int32_t token) const;
  // The same of all tokens: p [vocab]. Some microseconds.
  void Distribution(const NGramContext& context, float* p) const;
  // features: [order - 1].
  void Features(const NGramContext& context, ContextFeatures* features) const;

  // The whole file, and back. `where` names it in messages. Throws Error if it is damaged, or of another version.
  std::string Serialize() const;
  static NGramModel Deserialize(std::string_view file, const std::string& where);
  // SHA-256 of what was counted, as in the file's header; "" if nothing was.
  const std::string& checksum() const { return checksum_; }

 private:
  friend class NGramCounts;

  // The n-grams of one length, sorted by their first tokens, then by the last.
  struct Level {
    std::vector<uint16_t> words;  // the last token; none for n = 1, where the index is the token
    std::vector<uint8_t> counts;  // codes (count_codes.h)
    // As contexts, for n < order:
    std::vector<uint32_t> first;      // where the n-grams that go on from each begin in the next level, and the end
    std::vector<uint8_t> pruned;      // codes
    std::vector<float> total, gamma;  // C(h), or 0, and gamma(h)
  };

  std::string Body() const;
  // Of every context what follows it adds up to an int32 (ContextSums).
  bool SumsFit() const;
  void Derive();
  // The n-gram of n + 1 tokens that goes on from `node` of n tokens with this one.
  uint32_t Child(int n, uint32_t node, int32_t token) const;
  float Share(int n, uint32_t ngram, float total) const;
  void AddShares(int n, uint32_t node, float* p) const;

  int order_, vocab_;
  int64_t counted_tokens_ = 0;
  std::string checksum_;
  std::vector<Discounts> discounts_;  // [order]
  std::vector<Level> levels_;         // [order]
  std::vector<float> unigrams_;       // [vocab] p_1
};

}  // namespace flashlm
