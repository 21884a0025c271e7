// Applying a byte-level BPE: split into words, merge each word, remember the merged words.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/bpe_model.h"
#include "text/pair_map.h"

namespace flashlm {

class BpeEncoder {
 public:
  explicit BpeEncoder(const BpeModel& model);

  // Appends the ids of `text`. Thread-safe: the cache of words belongs to the calling thread (see
  // bpe_encode.cc).
  void Encode(std::string_view text, std::vector<uint16_t>& ids) const;

  // One word (not empty) without the cache, O(n log n): always the applicable merge of lowest rank, leftmost
  // first.
  void MergeWord(std::string_view word, std::vector<uint16_t>& ids) const;

 private:
  std::array<uint16_t, 256> byte_ids_{};
  PairMap ranks_;
  std::vector<uint16_t> results_;  // by rank
  uint32_t serial_;                // tells this encoder's words from others' in a thread's cache
};

}  // namespace flashlm
