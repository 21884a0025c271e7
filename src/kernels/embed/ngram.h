// Which row of a hashed table an n-gram has: 2-, 3-, 4-grams have no table of their own size, their rows are chosen by
// a hash, and n-grams that fall on one row share it.
#pragma once

#include <cstdint>

namespace flashlm::kernels {

struct NgramShape {
  int64_t batch = 1, length = 1;
  int order = 2;         // tokens of an n-gram, the position's own included
  int32_t end = 3;       // the token that ends a document: nothing before the last one belongs to an n-gram
  int64_t rows = 1;      // of the table
  uint64_t variant = 0;  // another variant is another hash
};

// A token's part in the hash h of those after it (splitmix64's next state and finaliser: Steele, Lea and Flood, 2014;
// the constants are mix 13 of Stafford). Trained tables depend on it: it never changes.
inline uint64_t HashToken(uint64_t h, uint64_t token) {
  h += 0x9E3779B97F4A7C15u + token;
  h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
  h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
  return h ^ (h >> 31);
}

// rows[b * length + t] in [0, shape.rows) of the `order` tokens that end at position t, the latest hashed first, each
// as id + 1, one that is missing as 0. Missing is what lies before the stream's start, or before the last `end` at or
// before t. tokens [batch, length]; past [batch, order - 1]: what NgramPast left of the tokens before, null for none.
void NgramRows(const NgramShape& shape, const int32_t* tokens, const float* past, int32_t* rows);
// The last order - 1 tokens as id + 1, the latest first, 0 for none. Zeros are an empty past.
void NgramPast(const NgramShape& shape, const int32_t* tokens, float* past);

}  // namespace flashlm::kernels
