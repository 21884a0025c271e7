// The definition of a hashed table's rows: the n-gram written out, then hashed.
#pragma once

#include <vector>

#include "kernels/embed/ngram.h"

namespace flashlm::kernels::ref {

// The row of the n-gram that ends a stream of `count` tokens.
inline int32_t NgramRow(const NgramShape& shape, const int32_t* tokens, int64_t count) {
  std::vector<int32_t> ngram;  // the latest token first, as far as the document goes
  for (int64_t t = count - 1; t >= 0 && t > count - 1 - shape.order; --t) {
    ngram.push_back(tokens[t]);
    if (tokens[t] == shape.end) break;
  }
  ngram.resize(static_cast<size_t>(shape.order), -1);
  uint64_t hash = HashToken(0, shape.variant);
  for (const int32_t token : ngram) hash = HashToken(hash, static_cast<uint64_t>(token) + 1);
  return static_cast<int32_t>(hash % static_cast<uint64_t>(shape.rows));
}

}  // namespace flashlm::kernels::ref
