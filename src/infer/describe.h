// What a model is made of: parameters, ternary weights, bytes, memory. For `flashlm inspect`.
#pragma once

#include <string>

#include "base/json.h"
#include "models/model.h"

namespace flashlm {

// {"architecture", "parameters", "table_parameters" (of which lie in sparse tables), "ternary_parameters",
// "ternary_share", "ternary_fractions": [of -1, of 0, of +1] or null, "bytes" (f32), "packed_bytes", "memory_mb",
// "training_flops_per_token", "ngrams" (of a model that has them: {"order", "counted_tokens", "counts" by length,
// "file_bytes", "memory_mb"}), "config", "tensors": [{"name", "shape", "parameters", "role", "bytes", "packed_bytes",
// and of a ternary one "ternary", "scales", "ternary_fractions"}]}. Packed are ternary weights, 2 bits each with their
// f32 scales; everything else stays f32. The fractions are those of the values in the bank. `state_floats`: what the
// optimiser of a training would remember. "memory_mb" has "parameters", of which "tables" is a part, and "training",
// to which the gradients of what a step reads of tables are to be added.
Json DescribeModel(const Model& model, int64_t state_floats);

// [of -1, of 0, of +1] among all ternary weights, as they are in the bank; null if there are none.
Json TernaryFractions(const ParamBank& bank);

// What DescribeModel gives as an aligned table and a summary.
std::string DescriptionTable(const Json& description);

}  // namespace flashlm
