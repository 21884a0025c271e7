// What the engine throws, as the API throws it.
#pragma once

#include <flashlm/error.h>

namespace flashlm::api {

// Throws the exception that is being handled: Error for the engine's own and for defects; std::bad_alloc and what
// already is of the API's as they are.
[[noreturn]] void Translate();

// f(), of which only the API's exceptions escape.
template <class F>
auto Guarded(const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (...) {
    Translate();
  }
}

}  // namespace flashlm::api
