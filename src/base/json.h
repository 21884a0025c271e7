// JSON and TOML as one value type: TOML presets are converted to JSON on reading, so all code below knows one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace flashlm {

// Keeps the order of insertion, so that files read as they were meant.
using Json = nlohmann::ordered_json;

// What a parser (of Json or of nlohmann::json) calls on its way: readers of an object that has a name twice take one or
// the other, so that it means two things.
class NameWatch {
 public:
  template <class Any>
  void operator()(typename Any::parse_event_t event, const Any& parsed) {
    using Event = typename Any::parse_event_t;
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event != Event::key || !doubled_.empty()) return;
    const auto& name = parsed.template get_ref<const std::string&>();
    if (!open_.back().insert(name).second) doubled_ = name.empty() ? "(empty)" : name;
  }
  // The first name that an object has twice; "" if none has.
  const std::string& doubled() const { return doubled_; }

 private:
  std::vector<std::set<std::string>> open_;  // the names of the objects that are open
  std::string doubled_;
};

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
