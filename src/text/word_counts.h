// How often each word occurs: the first half of learning a BPE.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace flashlm {

struct WordCount {
  std::string_view word;  // points into the texts
  int64_t count;
};

// Every distinct word of the texts, split as in encoding; each text is split on its own. In parallel; the
// order is the same for any number of threads.
std::vector<WordCount> CountWords(std::span<const std::string_view> texts);

}  // namespace flashlm
