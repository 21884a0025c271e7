// JSON of somebody else: an object of bounded size and depth. Code that prints or copies a value walks down it, and a
// file of brackets alone would take it down the whole stack.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace flashlm {

// Any's text as an object of type Any (base's Json, or nlohmann::json for one with many keys).
template <class Any>
Any ParseShallow(const std::string& text, const std::string& where) {
  constexpr int kDeepest = 16;
  bool deep = false;
  NameWatch names;
  const auto watch = [&](int depth, typename Any::parse_event_t event, const Any& parsed) {
    deep |= depth > kDeepest;
    if (!deep) names(event, parsed);
    return !deep;  // what is deeper is not kept
  };
  Any json = Any::parse(text, watch, /*allow_exceptions=*/false);
  if (deep || !json.is_object()) {
    throw Error(fmt::format("'{}' is {}", where, deep ? "nested too deeply" : "not a JSON object"),
                "the file is damaged or of another kind");
  }
  if (names.found()) {
    throw Error(fmt::format("'{}': {}", where, names.Problem()), "the file is damaged or of another kind");
  }
  return json;
}

inline std::string ReadSmallFile(const std::string& path, uintmax_t most) {
  std::error_code unreadable;  // left for ReadFile to report
  const uintmax_t bytes = std::filesystem::file_size(path, unreadable);
  if (!unreadable && bytes > most) {
    throw Error(fmt::format("'{}' has {} bytes, more than the {} that are read", path, bytes, most),
                "is this the right file?");
  }
  return ReadFile(path);
}

}  // namespace flashlm
