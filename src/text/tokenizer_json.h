// tokenizer.json, the file format of the Hugging Face tokenizers package, for byte-level BPE.
#pragma once

#include <string>

#include "text/bpe_model.h"

namespace flashlm {

// Larger files are refused, so that a hostile one costs bounded memory (the parser needs up to 16 times the
// file). 65,536 entries of real text are about 8 MB.
constexpr size_t kMaxTokenizerJsonBytes = size_t{32} << 20;

// Byte for byte what the tokenizers package itself would save for this model (version 0.23).
std::string BpeToJson(const BpeModel& model);

// Throws Error naming `where`, what is wrong or not supported, and a hint. An entry that is neither a byte
// nor the result of a merge is a reserved id: no text encodes to it and it decodes to nothing.
BpeModel BpeFromJson(const std::string& json, const std::string& where);

}  // namespace flashlm
