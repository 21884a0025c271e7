// What libflashlm shows of itself; everything else in it is hidden.
#pragma once

#define FLASHLM_EXPORT __attribute__((visibility("default")))

// The C++ API is in namespace flashlm. Its names lie in flashlm::api, an inline namespace, apart from the engine's own,
// some of which are the same: where the engine's headers are read too (FLASHLM_ENGINE) it is not inline.
#ifdef FLASHLM_ENGINE
#define FLASHLM_API api
#else
#define FLASHLM_API inline api
#endif
