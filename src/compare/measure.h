// One run of a comparison, in a process of its own: trained, then measured.
#pragma once

#include <string>

#include "compare/settings.h"

namespace flashlm {

// Trains the run in `folder`, or goes on with it, and measures its best model. Returns JSON: {"row": ...}, {"error":
// ...} or {"interrupted": true}. Never throws.
std::string TrainAndReport(const CompareSettings& settings, const PlannedRun& run, const std::string& folder);

}  // namespace flashlm
