// What a prepared data set holds.
#pragma once

#include <string>

#include "base/json.h"

namespace flashlm {

// {"folder", "source", "validation", "fingerprint", "vocab_size", "documents", "tokens", "bytes", "train":
// {"documents", "tokens", "bytes", "subset_tokens" if it was cut}, "valid": {...}}, the totals being those of both
// splits. Throws Error if the folder is not a data set or a file of it is missing or damaged (checksums as in opening
// it for training).
Json InspectData(const std::string& folder);

// The same for people, one line for each split.
std::string DescribeData(const Json& report);

}  // namespace flashlm
