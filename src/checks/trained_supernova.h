// The thirteen tests that v6 was announced with, asked of a model as it was trained: not whether the parts work
// (supernova_claims.h), but whether what was promised is so of these weights (docs/spec/supernova.md#claims).
#pragma once

#include <string>
#include <vector>

#include "checks/invariants.h"
#include "infer/loaded_model.h"

namespace flashlm {

// Whether the claims are about such a model.
bool IsSupernova(const Model& model);

// What is asked of text is asked of the test part of the run's validation text, or where that is not to be had, of
// texts as `data prepare --mix probes` writes them; the details say which. Speeds are asserted with `assert_speed`,
// except with plain C++ kernels. Products read `dtype`. The model is as it was afterwards.
std::vector<CheckResult> CheckTrainedSupernova(LoadedModel& loaded, DType dtype, bool assert_speed);

}  // namespace flashlm
