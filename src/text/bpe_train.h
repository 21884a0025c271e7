// Learning a byte-level BPE from texts (Sennrich et al., "Neural machine translation of rare words with
// subword units", 2016): merge the most frequent adjacent pair, again and again.
#pragma once

#include <span>
#include <string_view>

#include "text/bpe_model.h"

namespace flashlm {

// See Tokenizer::Train. The merges equal those of Hugging Face's BpeTrainer (min_frequency 2, initial
// alphabet of all 256 bytes) on the same texts: the more frequent pair first, of equals the one with the
// smaller (left, right) ids.
BpeModel TrainBpe(std::span<const std::string_view> texts, int vocab_size);

}  // namespace flashlm
