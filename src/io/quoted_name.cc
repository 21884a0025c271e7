#include "io/quoted_name.h"

#include "base/json.h"

namespace flashlm {

std::string QuotedName(const std::string& name) {
  constexpr size_t kLongest = 80;
  return Json(name.size() > kLongest ? name.substr(0, kLongest) + "..." : name)
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace flashlm
