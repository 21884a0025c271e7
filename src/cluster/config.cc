#include "cluster/config.h"

#include "base/error.h"

namespace flashlm {

void ClusterConfig::Validate() const {
  if (exchange == "int8" && !Local()) {
    throw UsageError("train.exchange = int8 with train.sync_every = 1: gradients travel in f32 or bf16",
                     "int8 is for the differences of weights that train.sync_every = 16, say, exchanges");
  }
}

}  // namespace flashlm
