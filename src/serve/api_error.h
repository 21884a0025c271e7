// What a client is told when its request cannot be answered, in OpenAI's form.
#pragma once

#include <stdexcept>
#include <string>

#include "base/json.h"

namespace flashlm {

class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string& message, std::string type, std::string parameter = "", std::string code = "")
      : std::runtime_error(message),
        status_(status),
        type_(std::move(type)),
        parameter_(std::move(parameter)),
        code_(std::move(code)) {}

  int status() const { return status_; }
  // {"error": {"message", "type", "param", "code"}}
  Json ToJson() const {
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    return {
        {"error", {{"message", what()}, {"type", type_}, {"param", or_null(parameter_)}, {"code", or_null(code_)}}}};
  }

 private:
  int status_;
  std::string type_, parameter_, code_;
};

// The request is wrong: 400.
inline ApiError BadRequest(const std::string& message, const std::string& parameter = "",
                           const std::string& code = "") {
  return {400, message, "invalid_request_error", parameter, code};
}

}  // namespace flashlm
