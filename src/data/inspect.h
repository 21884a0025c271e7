// What a prepared data set holds.
#pragma once

#include <string>

#include "base/json.h"

namespace flashlm {

// {"folder", "source", "validation", "fingerprint", "vocab_size", "documents", "tokens", "bytes", "train":
// {"documents", "tokens", "bytes", "subset_tokens" if it was cut}, "valid": {...}, "difficulty"}, the totals being
// those of both splits. "difficulty" is of the training documents (data/difficulty.h): {"measure", "stored" (else it
// was computed now), "mean", "percentiles": {"0", "10", "30", "50", "70", "90", "100"}, "histogram": [{"from", "to",
// "documents"}], "easiest", "hardest": five each, the extreme one first, [{"document", "difficulty", "nats_per_token",
// "tokens", "text" (its beginning)}]}. Throws Error if the folder is not a data set or a file of it is missing or
// damaged (checksums as in opening it for training).
Json InspectData(const std::string& folder);

// The same for people.
std::string DescribeData(const Json& report);

}  // namespace flashlm
