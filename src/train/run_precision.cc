#include "train/run_precision.h"

#include "base/progress.h"
#include "kernels/gemm/precision.h"

namespace flashlm {

void ResolvePrecision(RunConfig& config) {
  config.train.precision = NameOf(kernels::ComputeType(config.train.precision, kernels::Work::kTraining));
}

DType SessionType(const std::string& run_precision) {
  if (run_precision == NameOf(DType::kBF16) && !kernels::MultipliesBf16()) {
    Say("note: the run's matrix products are in bf16, which this CPU does not multiply: it goes on in f32");
    return DType::kF32;
  }
  return kernels::ComputeType(run_precision, kernels::Work::kTraining);
}

Json WithoutAutoPrecision(Json expected) {
  const Json::json_pointer precision("/train/precision");
  if (expected.contains(precision) && expected[precision] == "auto") expected["train"].erase("precision");
  return expected;
}

}  // namespace flashlm
