// From text to a prepared data set (data/shards.h): tokenizer, token shards, validation text, meta.json, and how hard
// each training document is (data/difficulty.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "data/mixture.h"
#include "text/tokenizer.h"

namespace flashlm {

struct PrepareOptions {
  std::string input = "synthetic";       // what OpenSource (data/sources.h) takes
  Json source_options = Json::object();  // of `input`
  std::string out;                       // the folder to make; a link to one is followed
  std::string valid;                     // the same for validation text; "": the source's own, or 1 % of the documents
  int vocab = 4096;
  std::optional<Tokenizer> tokenizer;  // to encode with; none: one of `vocab` entries is trained
  std::string tokenizer_name;          // where it is from, for meta.json
  int64_t tokens = 0;                  // keep only so many tokens of training text, the first ones; 0: all
  MixOptions mix;                      // documents of another source among the training documents
};

// Makes OUT, or finds that it already holds the data of the same input and options. Returns its meta.json.
//
// The tokenizer sees training text only (docs/spec/defects.md#d7): all of it up to 64 MB, beyond that an evenly spread
// sample of about that size. Without `valid`, the 1 % of the documents whose hash is smallest are held out,
// so equal documents fall on one side; with it, documents that also occur in the validation text are left out
// of training. Every document ends with <eos>. With `tokens` training text stops after so many, in the middle of a
// document perhaps; tokenizer and validation text are those of the whole, and those that they would be without `mix`.
// The validation text is also written to OUT/valid.txt, for `flashlm eval --text`.
//
// Work happens in OUT.tmp, which is renamed at the end: OUT is complete or not there. Memory is bounded by
// the batches (8 MB of text), the tokenizer's sample and 8 bytes per document. The text is read two or three times;
// documents that differ from one time to the next are an Error.
//
// Throws UsageError for bad options and when OUT holds something that is not a data set; Error for
// unreadable, empty or binary input, one that overlaps with OUT, a full disk, when OUT is in use, and when interrupted.
Json PrepareData(const PrepareOptions& options);

}  // namespace flashlm
