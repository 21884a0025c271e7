#include "train/objective.h"

namespace flashlm {
namespace {

double MeanOf(const float* x, int count, int rows) {
  double sum = 0;
  for (int n = 0; n < rows; ++n) sum += x[n];
  return count > 0 ? sum / count : 0;
}

// The current token, or -1 where it is the target as well.
const int32_t* Repetitions(Tape& tape, const int32_t* tokens, const int32_t* targets) {
  int32_t* unlikely = tape.Keep<int32_t>(int64_t{tape.rows()});
  for (int n = 0; n < tape.rows(); ++n) unlikely[n] = tokens[n] == targets[n] ? -1 : tokens[n];
  return unlikely;
}

// Cross-entropy of x_{t+2}; the last position of a sequence has none.
double AddSecondToken(Tape& tape, const Prediction& prediction, const int32_t* targets, double weight) {
  const int rows = tape.rows(), length = tape.length(), count = tape.batch() * (length - 1);
  if (count == 0) return 0;
  int32_t* after_next = tape.Keep<int32_t>(int64_t{rows});
  for (int n = 0; n < rows; ++n) after_next[n] = n % length == length - 1 ? -1 : targets[n + 1];
  const CrossEntropyResult loss = CrossEntropy(tape, prediction.hidden, prediction.second_head, after_next,
                                               {.softcap = prediction.softcap, .scale = weight / count});
  return MeanOf(loss.nats, count, rows);
}

}  // namespace

ObjectiveParts AddObjective(Tape& tape, const Prediction& prediction, const int32_t* tokens, const int32_t* targets,
                            const ObjectiveConfig& config, int micro_batches) {
  const int rows = tape.rows();
  const double share = 1.0 / micro_batches;
  CrossEntropyConfig next{prediction.softcap, config.entropy_weight, share / rows};
  if (config.unlikelihood_weight > 0) {
    next.unlikely = Repetitions(tape, tokens, targets);
    next.unlikely_weight = config.unlikelihood_weight;
  }
  const CrossEntropyResult loss = CrossEntropy(tape, prediction.hidden, prediction.head, targets, next);
  ObjectiveParts parts;
  parts.cross_entropy = MeanOf(loss.nats, rows, rows);
  parts.entropy = MeanOf(loss.entropies, rows, rows);
  if (loss.unlikelihoods != nullptr) parts.unlikelihood = MeanOf(loss.unlikelihoods, rows, rows);
  if (config.second_token_weight > 0 && prediction.second_head.offset >= 0) {
    parts.second_token = AddSecondToken(tape, prediction, targets, config.second_token_weight * share);
  }
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
