// What stands behind flashlm/tokenizer.h.
#pragma once

#include <flashlm/tokenizer.h>

#include "text/tokenizer.h"

namespace flashlm::api {

struct Tokenizer::Impl {
  flashlm::Tokenizer tokenizer;
};

// Throws UsageError for an id outside of a vocabulary of so many.
void CheckIds(std::span<const int32_t> ids, int vocab);
// The same, and gives them as the engine has them.
std::vector<uint16_t> EngineIds(std::span<const int32_t> ids, int vocab);

}  // namespace flashlm::api
