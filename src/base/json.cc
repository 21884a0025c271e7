#include "base/json.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

namespace flashlm {
namespace {

Json FromToml(const toml::node& node, const std::string& where) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = FromToml(value, where);
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const auto& value : *array) list.push_back(FromToml(value, where));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  throw Error(fmt::format("{}: dates and times are not used in FlashLM's configuration", where));
}

toml::table TableFromJson(const Json& object);
toml::array ArrayFromJson(const Json& list);

// Hands `value` to `add` as the matching TOML type; null has none and is left out.
template <class Add>
void AddAsToml(const Json& value, const Add& add) {
  if (value.is_object()) {
    add(TableFromJson(value));
  } else if (value.is_array()) {
    add(ArrayFromJson(value));
  } else if (value.is_string()) {
    add(value.get<std::string>());
  } else if (value.is_boolean()) {
    add(value.get<bool>());
  } else if (value.is_number_integer()) {
    add(value.get<int64_t>());
  } else if (value.is_number()) {
    add(value.get<double>());
  }
}

toml::table TableFromJson(const Json& object) {
  toml::table table;
  for (const auto& [key, value] : object.items()) {
    AddAsToml(value, [&table, &name = key](auto&& item) { table.insert_or_assign(name, item); });
  }
  return table;
}

toml::array ArrayFromJson(const Json& list) {
  toml::array array;
  for (const Json& value : list) {
    AddAsToml(value, [&array](auto&& item) { array.push_back(item); });
  }
  return array;
}

// Where the parser stopped, at the byte with this number (from 1 on): "line 3, column 7", in a single line "column 7".
std::string PlaceIn(const std::string& text, size_t byte) {
  const std::string_view before = std::string_view(text).substr(0, byte > 0 ? byte - 1 : 0);
  const size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  if (text.find('\n') == std::string::npos) return fmt::format("column {}", column);
  return fmt::format("line {}, column {}", 1 + std::count(before.begin(), before.end(), '\n'), column);
}

}  // namespace

std::string NameWatch::Problem() const {
  return fmt::format("the name {} stands twice in one object", ToText(doubled_.substr(0, 60)));
}

Json ParseJson(const std::string& text, const std::string& where, const std::string& hint) {
  NameWatch names;
  const auto watch = [&](int depth, Json::parse_event_t event, const Json& parsed) {
    // Far beyond what any file of ours has. The parser takes any depth, but copying, comparing and writing call
    // themselves for each level.
    constexpr int kDeepest = 100;
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= kDeepest)
      throw Error(fmt::format("{}: nested more than {} levels deep", where, kDeepest), hint);
    if (names(event, parsed)) throw Error(fmt::format("{}: {}", where, names.Problem()), hint);
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::parse_error& e) {
    throw Error(fmt::format("{}: not valid JSON at {}", where, PlaceIn(text, e.byte)), hint);
  } catch (const Json::exception&) {  // a number beyond all bounds
    throw Error(fmt::format("{}: not valid JSON", where), hint);
  }
}

Json ParseToml(const std::string& text, const std::string& where) {
  try {
    return FromToml(toml::parse(text, where), where);
  } catch (const toml::parse_error& e) {
    throw Error(fmt::format("{}:{}: not valid TOML: {}", where, e.source().begin.line, e.description()));
  }
}

std::string ToToml(const Json& object) {
  std::ostringstream out;
  out << TableFromJson(object) << "\n";
  return out.str();
}

std::string ToText(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json ReadJsonFile(const std::string& path) { return ParseJson(ReadFile(path), path); }

}  // namespace flashlm
