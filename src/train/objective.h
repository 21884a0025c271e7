// From a model's prediction to what is minimised: cross-entropy of the next token at every position, minus the entropy
// bonus, plus the look-ahead value loss, the two of v7.5 (docs/spec/training.md#objective), and what the model itself
// adds. Each part is reported apart.
//
// v7.5's loss with the index put right: where the published loss punished the token before its target, which was two
// ahead, that would now be the true next token. Punished is the current token, x_t at position t: repeating it. Where
// the text itself repeats it, nothing is, for the two terms would pull against each other.
#pragma once

#include <cstdint>

#include "models/model.h"

namespace flashlm {

struct ObjectiveConfig {
  double entropy_weight = 0;
  double value_weight = 0;  // 0: value heads are not trained in this step
  int value_horizon = 8;
  double unlikelihood_weight = 0;
  double second_token_weight = 0;  // of the cross-entropy of x_{t+2}, if the model has a second head
};

// Means per token (nats); over micro-batches they are averaged.
struct ObjectiveParts {
  double cross_entropy = 0, entropy = 0, value_loss = 0, value_correlation = 0;
  double unlikelihood = 0;
  double second_token = 0;  // over the positions that have a token after next: all but the last of a sequence
  double auxiliary = 0;     // the model's own addition, weighted (Prediction::auxiliary)
  double Total(const ObjectiveConfig& c) const {
    return cross_entropy - c.entropy_weight * entropy + c.value_weight * value_loss +
           c.unlikelihood_weight * unlikelihood + c.second_token_weight * second_token + auxiliary;
  }
};

// Records the losses on the tape (seeded, so that tape.Backward() follows) for one of `micro_batches` equal parts of a
// step. tokens: [N], what was read, before any word dropout; targets: [N].
ObjectiveParts AddObjective(Tape& tape, const Prediction& prediction, const int32_t* tokens, const int32_t* targets,
                            const ObjectiveConfig& config, int micro_batches);

}  // namespace flashlm
