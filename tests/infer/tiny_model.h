// What the tests of inference and evaluation read with: a small untrained model of every architecture, and a
// tokenizer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

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

}  // namespace flashlm
