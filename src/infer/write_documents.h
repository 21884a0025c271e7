// Whole documents, each from <eos> to its own <eos>, written many at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "infer/sampler.h"
#include "infer/session.h"

namespace flashlm {

struct WriteOptions {
  SamplerConfig sampler;
  int documents = 100;
  int64_t first = 0;     // number of the first one
  int max_tokens = 512;  // of a document; one that has so many is cut off
  int streams = 32;      // documents that are written side by side, at most
  // Candidates of search-guided decoding (infer/search.h); 0: every token is drawn. Search draws nothing, so the first
  // kOpening tokens of a document are drawn all the same; its documents are written one after another.
  static constexpr int kOpening = 16;
  int search = 0;
  double search_beta = 1.0;
  // Gets how many documents are finished, after every one, on any thread but one at a time; may be empty. What it
  // throws ends the writing.
  std::function<void(int64_t finished)> on_progress;
};

struct WrittenDocument {
  std::vector<int32_t> tokens;  // without the closing <eos>
  bool ended = false;           // by <eos>
};

// Document i is drawn with the numbers of (seed, i): it is the same whatever `first`, `documents` and `streams` are,
// and document 0 is what Generate (infer/generate.h) writes without a prompt. Streams that come to an end begin the
// next document at once, so that all are busy but at the very end. Throws UsageError for options out of range, Error
// for a search without value heads.
std::vector<WrittenDocument> WriteDocuments(Model& model, DType dtype, const WriteOptions& options);

}  // namespace flashlm
