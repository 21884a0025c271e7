// Options that hold a list.
#pragma once

#include <string>
#include <vector>

namespace flashlm::cli {

// "a,b" as two names. Throws UsageError that names `option` for an empty one; `example` is its hint.
std::vector<std::string> SplitAtCommas(const std::string& option, const std::string& list, const char* example);

}  // namespace flashlm::cli
