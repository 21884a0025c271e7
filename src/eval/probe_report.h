// What a run of the probes prints.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "eval/probe.h"

namespace flashlm {

// {NAME: {"accuracy", "stderr", "chance", "chance_corrected", "items", "normalised" (per byte), "normalised_stderr",
// "normalised_per_token", "normalised_per_token_stderr", "controls": {NAME: accuracy}, "controls_stderr", "removed",
// "removed_by": {NAME: items}, and where there are difficulties "by_k": [{"k", "accuracy", "stderr", "chance",
// "chance_corrected", "items"}]}}. chance_corrected = (accuracy - chance) / (1 - chance).
Json ProbesToJson(const std::vector<ProbeCategoryResult>& results);

// A table of the categories, and a line for each that has difficulties.
std::string ProbesTable(const std::vector<ProbeCategoryResult>& results);

}  // namespace flashlm
