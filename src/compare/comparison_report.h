// A comparison of models (compare/compare.h) as people read it.
#pragma once

#include <string>

#include "compare/comparison.h"

namespace flashlm {

std::string ComparisonMarkdown(const Comparison& comparison);

// One page without anything from elsewhere (report/page.h): table, loss curves, samples; light and dark, wide and
// narrow.
std::string ComparisonHtml(const Comparison& comparison);

}  // namespace flashlm
