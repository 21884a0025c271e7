// What the tests of inference and evaluation read with: a small untrained model of every architecture, and a
// tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "models/registry.h"
#include "text/tokenizer.h"

namespace flashlm {

inline const Tokenizer& TinyTokenizer() {
  static const std::vector<std::string_view> kTexts = {
      "Once upon a time there was a little cat. The cat was happy.",
      "Once upon a time there was a little dog. The dog was not happy, and the cat was sad.",
  };
  static const Tokenizer tokenizer = Tokenizer::Train(kTexts, 290);
  return tokenizer;
}

// The architecture's Tiny configuration with the tokenizer's vocabulary, changed by `overrides`.
inline std::unique_ptr<Model> TinyModel(const ModelEntry& entry, const Json& overrides = Json::object(),
                                        uint64_t seed = 7) {
  Json config = entry.tiny();
  config["architecture"] = entry.name;
  config["vocab"] = TinyTokenizer().vocab_size();
  config.update(overrides);
  std::unique_ptr<Model> model = MakeModel(config, /*for_training=*/false);
  model->bank().Initialize(seed);
  return model;
}

inline std::vector<int32_t> RandomTokens(int count, int vocab, uint64_t seed = 1) {
  Rng rng(seed, Purpose::kTest);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab)));
  return tokens;
}

}  // namespace flashlm
