// All of FlashLM's C++ API. flashlm/flashlm.h is the one for C.
#pragma once

#include <flashlm/error.h>      // IWYU pragma: export
#include <flashlm/model.h>      // IWYU pragma: export
#include <flashlm/session.h>    // IWYU pragma: export
#include <flashlm/tokenizer.h>  // IWYU pragma: export
#include <flashlm/train.h>      // IWYU pragma: export
#include <flashlm/version.h>    // IWYU pragma: export
