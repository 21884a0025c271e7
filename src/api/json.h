// What the API gives, as JSON: for the program and for C.
#pragma once

#include <flashlm/session.h>

#include "base/json.h"

namespace flashlm::api {

// {"text", "tokens", "stop_reason", "prompt_tokens", "generated_tokens", "prompt_tokens_per_s", "tokens_per_s"}
Json ToJson(const Generation& generation);

}  // namespace flashlm::api
