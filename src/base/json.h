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
  // True from the first name on that an object has twice.
  template <class Any>
  bool operator()(typename Any::parse_event_t event, const Any& parsed) {
    using Event = typename Any::parse_event_t;
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event == Event::key && !found_) {
      doubled_ = parsed.template get_ref<const std::string&>();
      found_ = !open_.back().insert(doubled_).second;
    }
    return found_;
  }
  bool found() const { return found_; }
  const std::string& doubled() const { return doubled_; }  // that name
  std::string Problem() const;                             // says so

 private:
  std::vector<std::set<std::string>> open_;  // the names of the objects that are open
  std::string doubled_;
  bool found_ = false;
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
