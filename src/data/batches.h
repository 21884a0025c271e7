// What a trainer reads: sequences of T tokens in a shuffled order that is a pure function of (seed, sequence
// number), so that a data cursor is one integer and resuming is exact.
//
// The stream is <eos> story <eos> story <eos> ...: the first story has <eos> as its first context, as every
// other has. The stream closes to a ring: target p is token p, input p is token p - 1, and input 0 is <eos>, which
// is what a whole prepared stream ends with (the first tokens of one may end anywhere). An epoch cuts the ring into
// floor(N / T) chunks that do not overlap (docs/spec/data.md#batches), from a start offset in [0, T) that is new in
// each epoch, so that chunk borders and the N mod T tokens left out move. Chunks cross documents freely. Sequence n is
// chunk Permutation(n mod count) of epoch n / count; batches run on over the end of an epoch, so no sequence is
// dropped. With Shuffle::kDocuments the ring itself is laid out anew in every epoch, document by document
// (data/document_ring.h), and every document's first token has <eos> as its context.
#pragma once

#include <cstdint>
#include <vector>

#include "data/document_ring.h"
#include "data/shards.h"

namespace flashlm {

// A keyed permutation of [0, n): a Feistel network with Philox rounds on the next even power of two, walked
// until it lands inside (at most 4 steps on average). Costs no memory.
class IndexPermutation {
 public:
  IndexPermutation(uint64_t n, uint64_t seed, uint64_t epoch);
  uint64_t operator()(uint64_t index) const;

 private:
  uint64_t n_;
  int half_bits_;
  uint64_t seed_;
  uint64_t epoch_;
};

// Of one thread: it remembers where the documents of an epoch are.
class BatchReader {
 public:
  // `data` must outlive the reader. documents: those that are read, as numbers in the stream (DocumentsWithin of
  // data/difficulty.h finds them by percentiles of difficulty), laid out in this order with kChunks; empty: all. Throws
  // Error if they have fewer than `length` + 1 tokens.
  BatchReader(const TokenData& data, int length, uint64_t seed, Shuffle shuffle = Shuffle::kChunks,
              std::vector<uint32_t> documents = {});

  int length() const { return length_; }
  int64_t SequencesPerEpoch() const { return per_epoch_; }
  // 1.5: half of the second epoch's sequences come before this one.
  double EpochOf(int64_t sequence) const { return static_cast<double>(sequence) / static_cast<double>(per_epoch_); }

  // Sequence n: inputs [T], targets [T], targets[t] being the token after inputs[t]; positions [T] (null: not wanted):
  // where the targets stand in the data.
  void Sequence(int64_t n, int32_t* inputs, int32_t* targets, int64_t* positions = nullptr) const;
  // B sequences from `first` on: inputs, targets, positions [B,T].
  void Read(int64_t first, int64_t count, int32_t* inputs, int32_t* targets, int64_t* positions = nullptr) const;

 private:
  const TokenData& data_;
  int length_;
  uint64_t seed_;
  mutable DocumentRing ring_;
  int64_t per_epoch_;
};

}  // namespace flashlm
