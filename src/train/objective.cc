#include "train/objective.h"

namespace flashlm {

ObjectiveParts AddObjective(Tape& tape, const Prediction& prediction, const int32_t* targets,
                            const ObjectiveConfig& config, int micro_batches) {
  const int rows = tape.rows();
  const double share = 1.0 / micro_batches;
  const CrossEntropyResult loss = CrossEntropy(tape, prediction.hidden, prediction.head, targets,
                                               {prediction.softcap, config.entropy_weight, share / rows});
  ObjectiveParts parts;
  for (int n = 0; n < rows; ++n) {
    parts.cross_entropy += loss.nats[n];
    parts.entropy += loss.entropies[n];
  }
  parts.cross_entropy /= rows;
  parts.entropy /= rows;
  if (config.value_weight > 0) {
    for (int i = 0; i < prediction.value_count; ++i) {
      const ValueLossResult value = ValueLoss(tape, prediction.values[i], loss.nats, config.value_horizon,
                                              config.value_weight * share / prediction.value_count);
      parts.value_loss += value.mean_squared_error / prediction.value_count;
      parts.value_correlation = value.correlation;  // of the last layer
    }
  }
  if (prediction.auxiliary.data != nullptr) {
    parts.auxiliary = *prediction.auxiliary.f32();
    tape.Seed(prediction.auxiliary, static_cast<float>(share));
  }
  return parts;
}

}  // namespace flashlm
