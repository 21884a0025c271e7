// From a model's prediction to what is minimised: cross-entropy of the next token at every position, minus the entropy
// bonus, plus the look-ahead value loss (SPEC 7, 9, 10, 16.1), plus what the model itself adds. Each part is reported
// apart.
#pragma once

#include <cstdint>

#include "models/model.h"

namespace flashlm {

struct ObjectiveConfig {
  double entropy_weight = 0;
  double value_weight = 0;  // 0: value heads are not trained in this step
  int value_horizon = 8;
};

// Means per token (nats); over micro-batches they are averaged.
struct ObjectiveParts {
  double cross_entropy = 0, entropy = 0, value_loss = 0, value_correlation = 0;
  double auxiliary = 0;  // the model's own addition, weighted (Prediction::auxiliary)
  double Total(const ObjectiveConfig& c) const {
    return cross_entropy - c.entropy_weight * entropy + c.value_weight * value_loss + auxiliary;
  }
};

// Records the losses on the tape (seeded, so that tape.Backward() follows) for one of `micro_batches` equal parts of a
// step. targets: [N], must live until Backward.
ObjectiveParts AddObjective(Tape& tape, const Prediction& prediction, const int32_t* targets,
                            const ObjectiveConfig& config, int micro_batches);

}  // namespace flashlm
