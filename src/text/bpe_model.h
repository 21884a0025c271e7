// What a byte-level BPE is, apart from how it is learnt, stored or applied.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flashlm {

struct BpeModel {
  struct Merge {
    uint16_t left, right, result;
  };
  struct Entry {
    std::string bytes;  // what the id decodes to: "" for reserved ids
    std::string name;   // of a reserved id: "<eos>"; "" for all others
  };

  std::vector<Entry> entries;  // by id
  std::vector<Merge> merges;   // by rank: the first one that applies anywhere in a word is done first
};

// The reserved ids 0..3 and the 256 bytes: what training starts from.
BpeModel AlphabetModel();

}  // namespace flashlm
