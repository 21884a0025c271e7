#include "models/predict.h"

namespace flashlm {
namespace {

// Of every `every`-th row, the last of each such run.
Tensor LogProbabilitiesOf(Tape& tape, const Prediction& prediction, int every) {
  Tensor hidden = prediction.hidden;  // a view with a longer stride: logits cost as much as a whole block
  hidden.data = static_cast<char*>(hidden.data) +
                static_cast<size_t>(hidden.stride) * static_cast<size_t>(every - 1) * SizeOf(hidden.dtype);
  hidden.rows /= every;
  hidden.stride *= every;
  const Tensor log_probs = LogProbabilities(tape, hidden, prediction.head, prediction.softcap);
  const NGramOpinion& ngram = prediction.ngram;
  if (ngram.model == nullptr) return log_probs;
  const Tensor others = tape.New(hidden.rows, log_probs.cols, DType::kF32);
  float* gates = tape.Keep<float>(hidden.rows);
  for (int r = 0; r < hidden.rows; ++r) {
    const int n = (r + 1) * every - 1;
    ngram.model->Distribution(ngram.contexts[n], others.matrix().Row<float>(r));
    gates[r] = *ngram.gates.matrix().Row<float>(n);
  }
  MixLogProbabilities(log_probs, others, gates);
  return log_probs;
}

}  // namespace

CrossEntropyResult NextTokenLoss(Tape& tape, const Prediction& prediction, const int32_t* targets,
                                 CrossEntropyConfig config) {
  config.softcap = prediction.softcap;
  if (prediction.ngram.model != nullptr) {
    const int rows = prediction.hidden.rows;
    float* log_probs = tape.Keep<float>(rows);
    for (int n = 0; n < rows; ++n) {
      log_probs[n] = targets[n] < 0 ? 0.0f : prediction.ngram.LogProbability(n, targets[n]);
    }
    config.gates = prediction.ngram.gates;
    config.opinion = log_probs;
  }
  return CrossEntropy(tape, prediction.hidden, prediction.head, targets, config);
}

Tensor LogProbabilities(Tape& tape, const Prediction& prediction) { return LogProbabilitiesOf(tape, prediction, 1); }

Tensor LastLogProbabilities(Tape& tape, const Prediction& prediction) {
  return LogProbabilitiesOf(tape, prediction, tape.length());
}

}  // namespace flashlm
