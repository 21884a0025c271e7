#include "cli/lists.h"

#include <sstream>

#include "base/error.h"

namespace flashlm::cli {

std::vector<std::string> SplitAtCommas(const std::string& option, const std::string& list, const char* example) {
  std::vector<std::string> names;
  std::istringstream stream(list);
  for (std::string name; std::getline(stream, name, ',');) {
    if (name.empty()) throw UsageError(fmt::format("{} {}: an empty name", option, list), example);
    names.push_back(name);
  }
  return names;
}

}  // namespace flashlm::cli
