#include "base/fields.h"

#include <algorithm>

#include "base/error.h"

namespace flashlm {
namespace internal {

JsonReader::JsonReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw UsageError(fmt::format("[{}] must be a table of keys and values", where_));
}

const Json* JsonReader::Find(const char* name) {
  FLASHLM_CHECK(std::find(known_.begin(), known_.end(), name) == known_.end(), "two settings are called {}",
                Path(name));
  known_.emplace_back(name);
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

void JsonReader::Bool(const char* name, bool& value, const char*) {
  const Json* json = Find(name);
  if (json == nullptr) return;
  if (!json->is_boolean()) throw UsageError(fmt::format("{} = {}: expected true or false", Path(name), json->dump()));
  value = json->get<bool>();
}

void JsonReader::Int64(const char* name, int64_t& value, int64_t low, int64_t high, const char* doc) {
  const Json* json = Find(name);
  if (json == nullptr) return;
  if (!json->is_number_integer()) {
    throw UsageError(fmt::format("{} = {}: expected a whole number", Path(name), json->dump()), doc);
  }
  const int64_t number = json->get<int64_t>();
  if (number < low || number > high) {
    throw UsageError(fmt::format("{} = {}: out of range", Path(name), number),
                     fmt::format("{}; allowed: {} to {}", doc, low, high));
  }
  value = number;
}

void JsonReader::Int(const char* name, int& value, int64_t low, int64_t high, const char* doc) {
  int64_t wide = value;
  Int64(name, wide, low, high, doc);
  value = static_cast<int>(wide);
}

void JsonReader::Real(const char* name, double& value, double low, double high, const char* doc) {
  const Json* json = Find(name);
  if (json == nullptr) return;
  if (!json->is_number()) {
    throw UsageError(fmt::format("{} = {}: expected a number", Path(name), json->dump()), doc);
  }
  const double number = json->get<double>();
  if (!(number >= low && number <= high)) {
    throw UsageError(fmt::format("{} = {}: out of range", Path(name), number),
                     fmt::format("{}; allowed: {} to {}", doc, low, high));
  }
  value = number;
}

void JsonReader::Text(const char* name, std::string& value, const std::vector<std::string>& choices, const char* doc) {
  const Json* json = Find(name);
  if (json == nullptr) return;
  if (!json->is_string()) throw UsageError(fmt::format("{} = {}: expected text", Path(name), json->dump()), doc);
  const std::string text = json->get<std::string>();
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
    throw UsageError(fmt::format("{} = '{}': unknown value", Path(name), text),
                     fmt::format("{}; choose from: {}", doc, fmt::join(choices, ", ")));
  }
  value = text;
}

void JsonReader::RefuseUnknownKeys(const std::vector<std::string>& others) const {
  std::vector<std::string> known = known_;
  known.insert(known.end(), others.begin(), others.end());
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw UsageError(fmt::format("{}.{}: unknown key", where_, key), NearestHint(key, known));
    }
  }
}

namespace {

std::string HelpLine(const char* name, const std::string& value, const std::string& range, const char* doc) {
  return fmt::format("  {:<20} {:<14} {} ({})\n", name, value, doc, range);
}

}  // namespace

void HelpWriter::Bool(const char* name, bool& value, const char* doc) {
  text += HelpLine(name, fmt::format("{}", value), "true or false", doc);
}
void HelpWriter::Int(const char* name, int& value, int64_t low, int64_t high, const char* doc) {
  text += HelpLine(name, fmt::format("{}", value), fmt::format("{} to {}", low, high), doc);
}
void HelpWriter::Int64(const char* name, int64_t& value, int64_t low, int64_t high, const char* doc) {
  text += HelpLine(name, fmt::format("{}", value), fmt::format("{} to {}", low, high), doc);
}
void HelpWriter::Real(const char* name, double& value, double low, double high, const char* doc) {
  text += HelpLine(name, fmt::format("{}", value), fmt::format("{} to {}", low, high), doc);
}
void HelpWriter::Text(const char* name, std::string& value, const std::vector<std::string>& choices, const char* doc) {
  text += HelpLine(name, fmt::format("\"{}\"", value),
                   choices.empty() ? "text" : fmt::format("{}", fmt::join(choices, " | ")), doc);
}

}  // namespace internal

void ApplyOverride(const std::string& assignment, Json& document) {
  const size_t equals = assignment.find('=');
  const size_t dot = assignment.find('.');
  if (equals == std::string::npos || dot == std::string::npos || dot > equals) {
    throw UsageError(fmt::format("--set {}: expected section.key=value", assignment),
                     "for example --set train.checkpoint_every=100");
  }
  const std::string section = assignment.substr(0, dot);
  const std::string key = assignment.substr(dot + 1, equals - dot - 1);
  const std::string text = assignment.substr(equals + 1);
  Json value;
  try {
    value = ParseToml("value = " + text, "--set").at("value");
  } catch (const Error&) {
    value = text;  // bare text without quotes
  }
  Json& table = document[section];
  if (!table.is_object() && !table.is_null()) {
    throw UsageError(fmt::format("--set {}: '{}' is not a section", assignment, section));
  }
  table[key] = value;
}

}  // namespace flashlm
