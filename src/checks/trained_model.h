// The invariants on a model as it was trained, beside those on small random ones (checks/invariants.h).
#pragma once

#include <string>
#include <vector>

#include "checks/invariants.h"

namespace flashlm {

// Of a run, one of its checkpoints or a model folder: every file is what its record says (of a run: in every
// checkpoint); causal bit for bit, the same however it is split, untouched by its neighbours; the same bits when it is
// asked again. Products read what the run was trained
// in, where this CPU can. If nothing can be loaded only the first check is there, failed. A v6-supernova is also asked
// whether what was announced of it is so (checks/trained_supernova.h); `assert_speed` as there.
std::vector<CheckResult> CheckTrainedModel(const std::string& folder, bool assert_speed);

}  // namespace flashlm
