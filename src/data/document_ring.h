// The order in which an epoch reads the documents of a data set: laid out one after the other, the last followed by the
// first again.
#pragma once

#include <cstdint>
#include <vector>

#include "data/shards.h"

namespace flashlm {

// What is shuffled anew in every epoch.
enum class Shuffle : uint8_t {
  kChunks,     // the sequences, cut out of the stream as it lies
  kDocuments,  // the documents too: whom a document follows is another one each time
};

// Where each document of the stream begins, then the stream's end. Every document but the last ends with <eos>; the
// last may lack it. Reads everything.
std::vector<int64_t> DocumentBorders(const TokenData& data);

class DocumentRing {
 public:
  // documents: those that the ring has, as numbers in the stream, in the order in which they come where that is not
  // shuffled; empty: all. kChunks and all: the whole stream is taken for one document. Else reads the stream once, for
  // where documents begin, and keeps 24 bytes for each.
  DocumentRing(const TokenData& data, Shuffle shuffle, uint64_t seed, std::vector<uint32_t> documents = {});

  // Tokens.
  int64_t size() const { return size_; }

  // Puts the documents into the order of `epoch`, with kDocuments a function of it and the seed alone. Costs nothing if
  // that is the present one; else some 0.03 us a document.
  void Arrange(int64_t epoch);

  // From a position of the ring to the end of the document there.
  struct Piece {
    int64_t begin;  // in the stream
    int64_t count;  // tokens, at least 1
    bool first;     // whether it is the whole document
  };
  Piece At(int64_t position) const;

 private:
  uint64_t seed_;
  Shuffle shuffle_;
  std::vector<int64_t> begins_;      // of each document in the stream, then the stream's end
  std::vector<uint32_t> documents_;  // those of the ring
  int64_t size_ = 0;
  std::vector<uint32_t> order_;  // documents as the epoch has them
  std::vector<int64_t> places_;  // where in the ring each of `order_` begins
  int64_t epoch_ = -1;
};

}  // namespace flashlm
