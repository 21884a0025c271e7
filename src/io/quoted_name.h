// Names out of a file as messages show them.
#pragma once

#include <string>

namespace flashlm {

// Shortened, and without control characters that a terminal would obey.
std::string QuotedName(const std::string& name);

}  // namespace flashlm
