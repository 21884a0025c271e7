#include "serve/body_fields.h"

#include <cmath>

#include "base/error.h"
#include "base/utf8.h"

namespace flashlm {
namespace {

constexpr int kDeepest = 16;
constexpr size_t kLongestName = 40;  // of a field, in a message

std::string Shown(const std::string& name) {
  const size_t whole = WholeCharacters(name, kLongestName);
  return whole < name.size() ? name.substr(0, whole) + "…" : name;
}

// What the parser meets on its way, before anything deep or double has been built.
class Guard {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    if (depth > kDeepest) throw BadRequest(fmt::format("the body is nested deeper than {}", kDeepest));
    if (names_(event, parsed)) {
      const std::string name = Shown(names_.doubled());
      throw BadRequest(fmt::format("the body has the field '{}' twice", name), name);
    }
    return true;
  }

 private:
  NameWatch names_;
};

}  // namespace

Json ParseBody(const std::string& body) {
  Json json;
  try {
    json = Json::parse(body, Guard());
  } catch (const Json::parse_error& e) {
    throw BadRequest(fmt::format("the body is not valid JSON in UTF-8 (at byte {})", e.byte));
  } catch (const Json::exception&) {
    throw BadRequest("the body holds a number beyond all bounds");
  }
  if (!json.is_object()) throw BadRequest("the body must be a JSON object");
  return json;
}

bool IsWhole(const Json& value, int64_t low, int64_t high) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return false;
  const auto number = value.get<int64_t>();
  return number >= low && number <= high;
}

const Json* BodyFields::Find(const std::string& name) {
  known_.insert(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void BodyFields::Refuse(const std::string& name, const std::string& what) const {
  throw BadRequest(fmt::format("'{}{}' {}", where_, name, what), where_ + name);
}

int64_t BodyFields::Whole(const std::string& name, int64_t otherwise, int64_t low, int64_t high) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!IsWhole(*value, low, high)) Refuse(name, fmt::format("must be a whole number from {} to {}", low, high));
  return value->get<int64_t>();
}

double BodyFields::Real(const std::string& name, double otherwise, double low, double high) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) Refuse(name, fmt::format("must be a number from {} to {}", low, high));
  return number;
}

bool BodyFields::Flag(const std::string& name, bool otherwise) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) Refuse(name, "must be true or false");
  return value->get<bool>();
}

std::string BodyFields::Text(const std::string& name, const std::string& otherwise) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) Refuse(name, "must be a text");
  return value->get<std::string>();
}

void BodyFields::Ignore(std::initializer_list<const char*> names) {
  for (const char* name : names) known_.insert(name);
}

void BodyFields::Only(const std::string& name, const Json& neutral, const char* why) {
  const Json* value = Find(name);
  if (value == nullptr || *value == neutral || (value->is_structured() && value->empty())) return;
  Refuse(name, why);
}

void BodyFields::RefuseOthers() const {
  for (const auto& [name, value] : object_.items()) {
    if (known_.contains(name) || value.is_null()) continue;
    const std::string hint = NearestHint(Shown(name), {known_.begin(), known_.end()});
    // Only a near one: the whole list is longer than a message should be.
    Refuse(Shown(name), "is no field of this request" + (hint.starts_with("did") ? "; " + hint : ""));
  }
}

}  // namespace flashlm
