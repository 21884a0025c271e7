// Renumbering another program's tokens so that ids 0 to 3 are reserved and 3 ends a document, as they are here.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

// Which of theirs are what; -1: there is none.
struct TheirTokens {
  int eos = -1, pad = -1, bos = -1;
  int rows = 0;  // of their embedding, of which the last ones may stand for no token
};

struct RenumberedTokenizer {
  std::string json;         // a tokenizer.json with `rows` entries
  std::vector<int> theirs;  // [rows]: the id there of each id here
  std::vector<std::string> notes;
  bool SameOrder() const;
};

// json: their tokenizer.json. Tokens that no text makes (special ones, and rows without a token) become the reserved
// ids: eos 3, pad 0, bos 2 where they are known, any others the rest; all else keeps its order. Throws Error naming
// `where` if there are fewer than four, or their eos is a piece of text.
RenumberedTokenizer RenumberTokens(const std::string& json, const TheirTokens& tokens, const std::string& where);

}  // namespace flashlm
