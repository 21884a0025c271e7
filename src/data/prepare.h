// From text to a prepared data set (data/shards.h): tokenizer, token shards, validation text, meta.json.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace flashlm {

struct PrepareOptions {
  std::string input = "synthetic";  // a file, a folder of *.txt, "tinystories" or "synthetic"
  std::string out;                  // the folder to make
  std::string valid;                // a file or folder of validation text; "": hold out 1 % of the documents
  int vocab = 4096;
  uint64_t seed = 0;                     // of the synthetic corpus
  int64_t synthetic_bytes = 12'000'000;  // of training text
  int64_t synthetic_valid_bytes = 300'000;
};

// Makes OUT, or finds that it already holds the data of the same input and options. Returns its meta.json.
//
// The tokenizer sees training text only (docs/spec/defects.md#d7): all of it up to 64 MB, beyond that an evenly spread
// sample of about that size. Without `valid`, the 1 % of the documents whose hash is smallest are held out,
// so equal documents fall on one side; with it, documents that also occur in the validation text are left out
// of training. Every document ends with <eos>. The validation text is also written to OUT/valid.txt, for
// `flashlm eval --text`.
//
// Work happens in OUT.tmp, which is renamed at the end: OUT is complete or not there. Memory is bounded by
// the batches (8 MB of text), the tokenizer's sample and 8 bytes per document.
//
// Throws UsageError for bad options and when OUT holds something that is not a data set; Error for
// unreadable, empty or binary input, a full disk, when OUT is in use, and when interrupted.
Json PrepareData(const PrepareOptions& options);

}  // namespace flashlm
