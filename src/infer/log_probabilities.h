// What a model expects after every token of a text.
#pragma once

#include <cstdint>
#include <span>

#include "models/model.h"

namespace flashlm {

// Reads T tokens from the beginning of a stream; log_probs [T,V]: row t is ln p(. | tokens[0 .. t]). dtype: what matrix
// products read. Throws Error for an id outside the vocabulary.
void ReadLogProbabilities(Model& model, DType dtype, std::span<const int32_t> tokens, float* log_probs);

}  // namespace flashlm
