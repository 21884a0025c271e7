// One optimiser step: micro-batches forward and backward, then the update; or, if something is wrong with it, nothing.
#pragma once

#include <cstdint>

#include "models/model.h"
#include "optim/optimizer.h"
#include "train/config.h"
#include "train/objective.h"

namespace flashlm {

struct StepOutcome {
  enum class Verdict : uint8_t { kApplied, kNotFinite, kSpike };
  ObjectiveParts parts;
  double gradient_norm = 0;
  Verdict verdict = Verdict::kApplied;
};

// What the guard against spikes and AdamW remember; saved in checkpoints.
struct StepState {
  int64_t updates = 0;   // applied steps
  int64_t skipped = 0;   // steps dropped for NaN or a spike
  int64_t skipped_in_a_row = 0;
  double mean_norm = 0;  // exponential mean of the gradient norms of applied steps
};

class TrainingStep {
 public:
  TrainingStep(Model& model, const OptimConfig& optim, const TrainConfig& train, DType dtype, uint64_t seed);

  // inputs, targets: [micro_batch * accumulate, sequence_length]. `factor`: of the learning-rate schedule.
  StepOutcome Run(int64_t step, const int32_t* inputs, const int32_t* targets, double factor);

  StepState& state() { return state_; }
  const StepState& state() const { return state_; }
  Tape& tape() { return tape_; }
  // Seconds spent in optimiser updates since the last call, for profiles.
  double TakeOptimizerSeconds();

 private:
  StepOutcome::Verdict Judge(const StepOutcome& outcome) const;

  Model& model_;
  TrainConfig train_;
  uint64_t seed_;
  Tape tape_;
  Optimizer optimizer_;
  StepState state_;
  double optimizer_seconds_ = 0;
};

}  // namespace flashlm
