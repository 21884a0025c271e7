// Counts the n-grams of a training stream, and says what they would be without each document of it.
//
// The stream is <eos> story <eos> story <eos> ...: a document's n-grams begin with the <eos> before it and end with its
// own, and none crosses from one to the next. The windows of `order` tokens are sorted by their tokens, so that each
// n-gram is a run of neighbours and those of all lengths form a trie.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ngram/left_out.h"
#include "ngram/ngram_model.h"

namespace flashlm {

struct NGramOptions {
  int order = 5;
  int vocab = 0;
  int eos = 0;
  // n-grams of n tokens that were seen less often are pruned, by n - 1; not decreasing. Single tokens never are.
  std::array<uint32_t, kMaxNGramOrder> at_least{1, 1, 1, 1, 1};
  std::vector<Discounts> discounts = {};  // of as many orders as there are; the rest is estimated
};

class NGramCounts {
 public:
  // tokens: each in [0, vocab), of whole documents: the last is <eos> (else it is counted as if one followed). On all
  // threads, with the same result for any number; 0.3 us and about 80 bytes per token for order 5.
  NGramCounts(std::span<const uint16_t> tokens, const NGramOptions& options);

  NGramModel Pack() const;

  // For every position of the stream: the probability of its token, and what the gate sees, by the model that would
  // have been counted without the document that the position is in. Counts, the numbers of different tokens before an
  // n-gram and after a context, and pruning are exactly those; only the discounts are those of the whole stream.
  LeftOut LeaveDocumentsOut() const;

 private:
  class Builder;
  class DocumentLeaver;

  // An n-gram that is a context too: all that is asked of it in half a cache line.
  struct Node {
    uint32_t seen = 0;   // how often it occurs
    uint32_t count = 0;  // c of smoothing.h
    uint32_t first = 0;  // where those that go on from it begin in the next level
    ContextSums sums;
  };
  // The n-grams of n tokens in the order of the trie.
  struct Level {
    std::vector<uint16_t> words;  // the last token
    std::vector<Node> nodes;      // for n < order, and the end
    std::vector<uint32_t> seen;   // of the longest, which is also their c
  };

  bool Kept(int n, uint32_t seen) const { return n == 1 || seen >= options_.at_least[static_cast<size_t>(n - 1)]; }
  // The n-gram of n tokens that ends at a position of stream_.
  uint32_t At(int n, size_t position) const {
    return n == 1 ? stream_[position] : ids_[position * Ids() + static_cast<size_t>(n - 2)];
  }
  size_t Ids() const { return static_cast<size_t>(options_.order - 1); }
  Level& level(int n) { return levels_[static_cast<size_t>(n - 1)]; }
  const Level& level(int n) const { return levels_[static_cast<size_t>(n - 1)]; }
  uint32_t Seen(int n, uint32_t id) const { return n == options_.order ? level(n).seen[id] : level(n).nodes[id].seen; }
  uint32_t Count(int n, uint32_t id) const {
    return n == options_.order ? level(n).seen[id] : level(n).nodes[id].count;
  }
  void Estimate();

  NGramOptions options_;
  std::vector<uint16_t> stream_;   // <eos> and the tokens
  std::vector<uint32_t> ids_;      // [stream, order - 1]: At for n = 2, 3, ...; kNone before the document's start
  std::vector<size_t> documents_;  // positions of the <eos> before each document, and of the last
  std::vector<Level> levels_;      // [order]
  ContextSums root_;
  std::vector<Discounts> discounts_;  // [order]
};

}  // namespace flashlm
