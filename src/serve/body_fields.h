// The fields of a JSON request, each checked for its type and range. Nothing of what a client sent is repeated in a
// message but numbers and the beginning of a field's name.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "serve/api_error.h"

namespace flashlm {

// A body as an object. Throws ApiError (400) if it is not valid JSON in UTF-8, no object, nested deeper than 16, holds
// a number beyond all bounds, or one name twice in an object.
Json ParseBody(const std::string& body);

class BodyFields {
 public:
  // `where`: the object's path in messages, "" for the body itself, else as "stream_options.".
  explicit BodyFields(const Json& object, std::string where = "") : object_(object), where_(std::move(where)) {}

  // Null if the field is missing or null.
  const Json* Find(const std::string& name);
  bool Has(const std::string& name) { return Find(name) != nullptr; }
  // Fields that are missing are `otherwise`.
  int64_t Whole(const std::string& name, int64_t otherwise, int64_t low, int64_t high);
  double Real(const std::string& name, double otherwise, double low, double high);
  bool Flag(const std::string& name, bool otherwise);
  std::string Text(const std::string& name, const std::string& otherwise);

  // Fields that say nothing about the answer.
  void Ignore(std::initializer_list<const char*> names);
  // Fields that would change the answer in a way that there is not: refused unless null, or what `neutral` is.
  void Only(const std::string& name, const Json& neutral, const char* why);
  // Throws for what nobody has asked for; null says nothing.
  void RefuseOthers() const;

  [[noreturn]] void Refuse(const std::string& name, const std::string& what) const;

 private:
  const Json& object_;
  std::string where_;
  std::set<std::string> known_;
};

// A whole number of JSON in [low, high]; false for any other.
bool IsWhole(const Json& value, int64_t low, int64_t high);

}  // namespace flashlm
