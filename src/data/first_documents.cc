#include "data/first_documents.h"

#include <algorithm>

#include "text/tokenizer.h"

namespace flashlm {

std::vector<uint16_t> FirstDocuments(const TokenData& data, int64_t most) {
  int64_t end = std::min(most, data.size());
  while (end > 1 && end < data.size() && data[end - 1] != Tokenizer::kEos) --end;
  std::vector<int32_t> ids(static_cast<size_t>(end));
  data.Copy(0, end, ids.data());
  return {ids.begin(), ids.end()};
}

}  // namespace flashlm
