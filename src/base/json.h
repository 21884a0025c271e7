// JSON and TOML as one value type: TOML presets are converted to JSON on reading, so all code below knows one.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace flashlm {

// Keeps the order of insertion, so that files read as they were meant.
using Json = nlohmann::ordered_json;

// `where` names the source (a path, an option) in the error. Throws Error.
Json ParseJson(const std::string& text, const std::string& where);
Json ParseToml(const std::string& text, const std::string& where);
std::string ToToml(const Json& object);

Json ReadJsonFile(const std::string& path);

}  // namespace flashlm
