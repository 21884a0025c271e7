// The tests that v6 was announced with, as assertions that can fail (docs/spec/supernova.md#claims), beside the
// invariants of invariants.h.
#pragma once

#include <string>
#include <vector>

#include "checks/invariants.h"

namespace flashlm {

// Of an architecture; empty where none were announced. v6-supernova: thirteen, then the isolation of its memory. What
// they ask of speed is only reported without `assert_speed`, for a busy machine must not fail a test, and with plain
// C++ kernels (FLASHLM_ISA=scalar).
std::vector<CheckResult> CheckSupernovaClaims(const std::string& architecture, bool assert_speed);

}  // namespace flashlm
