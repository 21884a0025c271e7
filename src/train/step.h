// One optimiser step: micro-batches forward and backward, then the update; or, if something is wrong with it, nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "models/model.h"
#include "objective/objective.h"
#include "optim/optimizer.h"
#include "train/config.h"

namespace flashlm {

struct StepOutcome {
  enum class Verdict : uint8_t { kApplied, kNotFinite, kSpike };
  ObjectiveParts parts;
  double gradient_norm = 0;
  Verdict verdict = Verdict::kApplied;
};

// What the guard against spikes and AdamW remember; saved in checkpoints.
struct StepState {
  int64_t updates = 0;  // applied steps
  int64_t skipped = 0;  // steps dropped for NaN or a spike
  int64_t skipped_in_a_row = 0;
  double mean_norm = 0;  // exponential mean of the gradient norms of applied steps
};

// What is asked of a step.
struct StepPlan {
  int64_t step = 0;           // steps before it
  int64_t micro_batches = 0;  // micro-batches before it: what dropout draws depends on them
  StepSize size;              // micro-batches of as many tokens as those of TrainConfig
  double factor = 1;          // on the learning rates
  double fraction = 1;        // of the budget that is done
};

class TrainingStep {
 public:
  TrainingStep(Model& model, const OptimConfig& optim, const TrainConfig& train, DType dtype, uint64_t seed);

  // inputs, targets: [accumulate * micro_batch, length] of plan.size. positions: of the targets in the training stream
  // (data/batches.h), in inputs' shape; null if they are not from there.
  StepOutcome Run(const StepPlan& plan, const int32_t* inputs, const int32_t* targets,
                  const int64_t* positions = nullptr);
  // The same where all steps have the size that TrainConfig says.
  StepOutcome Run(int64_t step, const int32_t* inputs, const int32_t* targets, double factor, double fraction = 1,
                  const int64_t* positions = nullptr);

  StepState& state() { return state_; }
  const StepState& state() const { return state_; }
  Tape& tape() { return tape_; }
  Optimizer& optimizer() { return optimizer_; }
  const Optimizer& optimizer() const { return optimizer_; }
  // Seconds spent in optimiser updates since the last call, for profiles.
  double TakeOptimizerSeconds();

 private:
  // The tokens of a micro-batch with some read as <unk>: another choice in every micro-batch, the same when it is
  // repeated.
  const int32_t* DropWords(uint64_t random_step, const int32_t* tokens);
  StepOutcome::Verdict Judge(const StepOutcome& outcome) const;

  Model& model_;
  TrainConfig train_;
  uint64_t seed_;
  Tape tape_;
  Optimizer optimizer_;
  StepState state_;
  std::vector<int32_t> read_;  // [micro_batch, sequence_length] after word dropout; empty without it
  double optimizer_seconds_ = 0;
};

}  // namespace flashlm
