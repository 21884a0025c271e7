// The text of the story grammar: words and plots, kept apart from the code that reads them.
#pragma once

#include <string_view>

namespace flashlm {

extern const std::string_view kStoryWords;
extern const std::string_view kStorySentences;
extern const std::string_view kStoryPlots;

}  // namespace flashlm
