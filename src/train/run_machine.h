// What a run takes from the machine when it starts, then keeps, since another one gives other bits: the type of its
// matrix products, and the lanes of a step.
#pragma once

#include <string>

#include "base/dtype.h"
#include "base/json.h"
#include "cluster/ranks.h"
#include "models/model.h"
#include "train/config.h"

namespace flashlm {

// train.precision, products and update_products: "auto" becomes what is fastest on this machine
// (kernels/gemm/precision.h).
// Throws UsageError for a type that this CPU does not multiply, and for two that contradict each other.
void ResolvePrecision(TrainConfig& train);

// train.lanes: 0 becomes as many as there are threads, of all `ranks` (null: this process is alone), but at least two,
// so that one thread and two give the same bits, and so many that ranks share the passes of a step evenly: if
// micro-batches can be cut so and the model's passes can run side by side. Throws UsageError for more than one where
// they cannot.
void ResolveLanes(const Model& model, TrainConfig& train, const Ranks* ranks = nullptr);
// Throws UsageError where a step of a run with these settings cannot be shared by so many ranks.
void RefuseIdleRanks(const Model& model, const TrainConfig& train, int ranks);

// What products read in this session of a run: its own type, or f32, with a note, on a CPU that does not have it.
DType SessionType(const std::string& run_precision);
// The same of what the products of updates read; "auto", as before there was a choice: as tensors.
DType SessionUpdates(const TrainConfig& train, DType tensors);
// Whether products are in int8 in this session; with a note if the run's are but this CPU has none.
bool SessionInt8(const TrainConfig& train);

// `expected` (keys of RunConfig::ToJson) without what leaves the choice to the machine: types that are "auto",
// train.lanes 0. It agrees with whatever a run has.
Json WithoutMachineChoices(Json expected);

}  // namespace flashlm
