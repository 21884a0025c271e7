// The counted bigrams that the probes' results stand beside.
#pragma once

#include "data/shards.h"
#include "ngram/ngram_model.h"
#include "text/tokenizer.h"

namespace flashlm {

// Of the first 20 M tokens of a model's training data.
NGramModel CountBigrams(const TokenData& training);
// Where that is not to be had: of probes of the training split.
NGramModel CountBigramsOfProbes(const Tokenizer& tokenizer);

}  // namespace flashlm
