// A model folder: config.json, model.safetensors and tokenizer.json, and ngram.bin of a model with a counted model
// beside it. All that evaluation, generation and other software need (docs/formats.md).
#pragma once

#include <string>

#include "base/json.h"
#include "tensor/param_bank.h"

namespace flashlm {

inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kModelFile[] = "model.safetensors";
inline constexpr char kTokenizerFile[] = "tokenizer.json";
inline constexpr char kNGramFile[] = "ngram.bin";

// Makes the folder if it is missing. Each file is replaced atomically; model.safetensors remembers the
// configuration and the tokenizer's SHA-256, so that files of two models cannot be mixed up unnoticed.
void WriteModelFolder(const std::string& folder, const Json& config, const ParamBank& bank,
                      const std::string& tokenizer_json);

// Checks that the three files are there, sound, and belong together; returns the configuration. Throws Error
// naming the file and what is wrong.
Json ReadModelFolder(const std::string& folder);

}  // namespace flashlm
