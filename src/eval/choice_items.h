// The items of a file of minimal pairs or cloze items, whose formats are those of EvaluatePairs and EvaluateCloze
// (eval/choices.h).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace flashlm {

struct ChoiceItem {
  std::vector<std::string> choices;  // whole texts, none of them empty
  size_t right = 0;
  std::string category = "", field = "", term = "";  // "": none is named
};

// `path`: a file, or "-": standard input. Both throw Error naming the file and the line of what is not such an item,
// and for a file without items.
std::vector<ChoiceItem> ReadPairs(const std::string& path);
std::vector<ChoiceItem> ReadClozes(const std::string& path);

}  // namespace flashlm
