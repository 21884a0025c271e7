// The type of a run's matrix products: decided when the run starts, then kept, since another one gives other bits.
#pragma once

#include <string>

#include "base/dtype.h"
#include "base/json.h"
#include "train/config.h"

namespace flashlm {

// "auto" becomes what is fastest on this machine (kernels/gemm/precision.h). Throws UsageError for a type that this CPU
// does not multiply.
void ResolvePrecision(RunConfig& config);

// What products read in this session of a run: its own type, or f32, with a note, on a CPU that does not have it.
DType SessionType(const std::string& run_precision);

// `expected` (keys of RunConfig::ToJson) without train.precision if that is "auto": it agrees with whatever a run has.
Json WithoutAutoPrecision(Json expected);

}  // namespace flashlm
