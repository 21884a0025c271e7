// The beginning of a training stream, for what is counted in a part of it.
#pragma once

#include "data/shards.h"

namespace flashlm {

// The first ids, at most so many, up to where a document ends; if none ends there, the first id alone.
std::vector<uint16_t> FirstDocuments(const TokenData& data, int64_t most);

}  // namespace flashlm
