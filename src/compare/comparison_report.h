// A comparison of models (compare/compare.h) as people read it.
//
// comparison: {"settings": {"data", "text", "budget", ...}, "rows": [...]}, best row first. A row is {"preset",
// "error"} or has "parameters", "ternary_share", "tokens", "tokens_per_s", "peak_rss_mb", "bits_per_byte",
// "stderr_bits_per_byte", "decode_tokens_per_s", "prompt", "sample" and "curve": [{"tokens", "seconds",
// "bits_per_byte"}, ...].
#pragma once

#include <string>

#include "base/json.h"

namespace flashlm {

std::string ComparisonMarkdown(const Json& comparison);

// One page without anything from elsewhere: table, loss curves (SVG), samples; light and dark, wide and narrow.
std::string ComparisonHtml(const Json& comparison);

}  // namespace flashlm
