// JSON and TOML as one value type: TOML presets are converted to JSON on reading, so all code below knows one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace flashlm {

// Keeps the order of insertion, so that files read as they were meant.
using Json = nlohmann::ordered_json;

// `where` names the source (a path, an option) in the error, `hint` says what was expected. Throws Error.
Json ParseJson(const std::string& text, const std::string& where,
               const std::string& hint = "the file is damaged or of another kind");
Json ParseToml(const std::string& text, const std::string& where);
std::string ToToml(const Json& object);

// Compact, or indented by `indent` blanks. What is not UTF-8 in it (a path may be any bytes) becomes U+FFFD.
std::string ToText(const Json& json, int indent = -1);

Json ReadJsonFile(const std::string& path);

// The integer at `key`. Throws Json::exception if there is none: also for a number that is none, as 1e300, which
// get<int64_t>() would convert to anything.
inline int64_t IntegerAt(const Json& object, const char* key) {
  return object.at(key).get_ref<const Json::number_integer_t&>();
}

}  // namespace flashlm
