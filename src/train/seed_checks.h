// The tests that a seed model was announced with, as real assertions (SPEC 5.3), beside the invariants of checks.h.
#pragma once

#include <string>
#include <vector>

#include "train/checks.h"

namespace flashlm {

// Of an architecture; empty where its seed had none. v6-supernova: thirteen, then the isolation of its memory.
std::vector<CheckResult> CheckSeed(const std::string& architecture);

}  // namespace flashlm
