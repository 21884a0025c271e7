#include "eval/probe_bigrams.h"

#include "data/first_documents.h"
#include "ngram/ngram_counts.h"
#include "probes/probes.h"

namespace flashlm {
namespace {

constexpr int64_t kMostTokens = 20'000'000;
constexpr uint64_t kDocuments = 6000;  // 0.3 M tokens

NGramModel Count(std::span<const uint16_t> tokens, int vocab) {
  NGramOptions options;
  options.order = 2;
  options.vocab = vocab;
  options.eos = Tokenizer::kEos;
  return NGramCounts(tokens, options).Pack();
}

}  // namespace

NGramModel CountBigrams(const TokenData& training) {
  return Count(FirstDocuments(training, kMostTokens), training.vocab_size());
}

NGramModel CountBigramsOfProbes(const Tokenizer& tokenizer) {
  std::vector<uint16_t> tokens;
  for (uint64_t i = 0; i < kDocuments; ++i) {
    tokenizer.Encode(ProbeDocument(0, i), tokens);
    tokens.push_back(Tokenizer::kEos);
  }
  return Count(tokens, tokenizer.vocab_size());
}

}  // namespace flashlm
