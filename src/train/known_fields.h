// Reading records that another version of the program may have written.
#pragma once

#include <string>

#include "base/fields.h"

namespace flashlm {

// As FieldsFromJson (base/fields.h), but what has no field here is passed over, and null, which is how JSON writes a
// number that is not finite, leaves a field as it is.
template <class Record>
void KnownFieldsFromJson(const Json& object, const std::string& where, Record& record) {
  Json known = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (!value.is_null()) known[key] = value;
  }
  internal::JsonReader reader(known, where);
  record.VisitFields(reader);
}

}  // namespace flashlm
