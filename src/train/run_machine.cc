#include "train/run_machine.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"

namespace flashlm {

void ResolvePrecision(TrainConfig& train) {
  std::string &precision = train.precision, &products = train.products, &updates = train.update_products;
  const bool is_type = products == "f32" || products == "bf16";
  if (is_type && precision != "auto" && precision != products) {
    throw UsageError(fmt::format("train.products = {} and train.precision = {}", products, precision),
                     "products of floats are of the type that tensors have; leave out one of the two");
  }
  if (is_type) precision = products;
  const bool measure = precision == "auto" && products == "auto";
  precision = NameOf(kernels::ComputeType(precision, kernels::Work::kTraining));
  if (products == "int8") kernels::ComputeType(products, kernels::Work::kTraining);  // refused without VNNI
  if (products == "auto") products = precision;
  if (measure && kernels::FasterProducts(kernels::MeasuredRates(kernels::Work::kTraining)) == DType::kI8) {
    products = "int8";
  }
  if (updates != "auto") {
    kernels::ComputeType(updates, kernels::Work::kTraining);  // refused where the CPU does not multiply it
  } else if (precision == "bf16" && products == "int8") {
    updates = NameOf(kernels::FasterType(kernels::MeasuredRates(kernels::Work::kTraining)));
  } else {
    updates = precision;
  }
}

DType SessionUpdates(const TrainConfig& train, DType tensors) {
  const bool as_tensors = train.update_products == "auto" || train.update_products == train.precision;
  return as_tensors ? tensors : SessionType(train.update_products);
}

bool SessionInt8(const TrainConfig& train) {
  if (train.products != "int8" || kernels::HasVnni()) return train.products == "int8";
  Say("note: the run's matrix products are in int8, which this CPU does not multiply: it goes on with those of floats");
  return false;
}

void ResolveLanes(const Model& model, TrainConfig& train, const Ranks* ranks) {
  if (train.lanes > 1 && !model.PassesSideBySide()) {
    throw UsageError(
        fmt::format("train.lanes = {}: passes of '{}' cannot run side by side", train.lanes, model.architecture()),
        "hashed n-gram tables collect their gradients in one place");
  }
  if (train.lanes > 0) return;
  if (!model.PassesSideBySide()) {
    train.lanes = 1;
    return;
  }
  const int threads = std::max(2, ranks == nullptr ? ThreadCount() : ranks->Threads());
  train.lanes = std::min(threads, train.micro_batch);
  while (train.micro_batch % train.lanes != 0) --train.lanes;
  if (ranks == nullptr) return;
  const auto even = [&](int lanes) {
    return train.micro_batch % lanes == 0 && train.accumulate * lanes % ranks->size() == 0;
  };
  for (int lanes = train.lanes; lanes <= train.micro_batch; ++lanes) {
    if (!even(lanes)) continue;
    train.lanes = lanes;
    return;
  }
}

void RefuseIdleRanks(const Model& model, const TrainConfig& train, int ranks) {
  if (!model.PassesSideBySide()) {
    throw UsageError(fmt::format("{} ranks: passes of '{}' cannot be shared", ranks, model.architecture()),
                     "hashed n-gram tables (model.table_*) collect their gradients in one place");
  }
  const std::vector<int> counts = Growth(train).MicroBatches();
  const int micro_batches = *std::min_element(counts.begin(), counts.end());
  const int lanes = std::max(1, train.lanes), leaves = micro_batches * lanes;
  if (leaves < ranks) {
    throw UsageError(
        fmt::format("{} ranks, but {} step of this run has {} passes: {} micro-batches (train.accumulate) of "
                    "train.lanes = {}",
                    ranks, micro_batches < train.accumulate ? "the smallest" : "a", leaves, micro_batches, lanes),
        fmt::format("start at most {} ranks, or begin a run with a larger train.accumulate, or with "
                    "train.lanes that divides train.micro_batch = {}",
                    leaves, train.micro_batch));
  }
  const auto uneven = std::find_if(counts.begin(), counts.end(), [&](int n) { return n * lanes % ranks != 0; });
  if (uneven != counts.end() && train.cluster.Local()) {
    throw UsageError(
        fmt::format("{} ranks share the {} passes of a step unevenly, which train.sync_every > 1 cannot do", ranks,
                    *uneven * lanes),
        "choose train.accumulate, train.micro_batch or train.lanes so that the ranks divide them");
  }
}

DType SessionType(const std::string& run_machine) {
  if (run_machine == NameOf(DType::kBF16) && !kernels::MultipliesBf16()) {
    Say("note: the run's matrix products are in bf16, which this CPU does not multiply: it goes on in f32");
    return DType::kF32;
  }
  return kernels::ComputeType(run_machine, kernels::Work::kTraining);
}

Json WithoutMachineChoices(Json expected) {
  const auto leave_out = [&](const char* key, const Json& automatic) {
    const Json::json_pointer path(fmt::format("/train/{}", key));
    if (expected.contains(path) && expected[path] == automatic) expected["train"].erase(key);
  };
  leave_out("precision", "auto");
  leave_out("products", "auto");
  leave_out("update_products", "auto");
  leave_out("lanes", 0);
  return expected;
}

}  // namespace flashlm
