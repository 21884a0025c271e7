// One optimiser step: micro-batches forward and backward, then the update; or, if something is wrong with it, nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cluster/gradient_exchange.h"
#include "cluster/ranks.h"
#include "models/model.h"
#include "objective/objective.h"
#include "optim/optimizer.h"
#include "train/config.h"
#include "train/leaf_sums.h"

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
  // `ranks`: that share every step, or with train.sync_every > 1 make steps of their own of their share of its passes;
  // null: this process makes all of it. They must outlive this.
  TrainingStep(Model& model, const OptimConfig& optim, const TrainConfig& train, DType dtype, uint64_t seed,
               Ranks* ranks = nullptr);

  // inputs, targets: [accumulate * micro_batch, length] of plan.size. positions: of the targets in the training stream
  // (data/batches.h), in inputs' shape; null if they are not from there.
  StepOutcome Run(const StepPlan& plan, const int32_t* inputs, const int32_t* targets,
                  const int64_t* positions = nullptr);
  // The same where all steps have the size that TrainConfig says.
  StepOutcome Run(int64_t step, const int32_t* inputs, const int32_t* targets, double factor, double fraction = 1,
                  const int64_t* positions = nullptr);

  // What its matrix products read in this process: int8, or the type of its tensors.
  DType products() const { return products_; }

  StepState& state() { return state_; }
  const StepState& state() const { return state_; }
  // For the steps to come: what is minimised, and parameters that keep their values.
  void SetObjective(const Objective& objective) { train_.objective = objective; }
  void Freeze(const std::vector<FrozenRange>& ranges) { frozen_ = ranges; }
  // Between steps: the memory of passes goes back to the system, until the next step takes it again.
  void GiveBackMemory();
  // For passes apart from steps.
  Tape& tape() { return leaf_sums_.tape(); }
  // --- measuring, of all threads that pass side by side ---
  void SetProfiling(bool on) { leaf_sums_.SetProfiling(on); }
  // Seconds in which all of them together did one operation, as if they had shared it.
  Profile TakeProfile();
  int GradientCopies(const StepSize& size) const;
  // How many gradients of the whole bank there is memory for.
  int gradient_memory() const { return leaf_sums_.copies(); }
  size_t activation_bytes() const;
  size_t gradient_bytes() const;
  int64_t grow_events() const;
  // Between steps: what the optimiser of each rank remembers of the parameters that it updates, to the first.
  void CollectState();
  Optimizer& optimizer() { return optimizer_; }
  const Optimizer& optimizer() const { return optimizer_; }
  // Seconds spent in optimiser updates since the last call, for profiles.
  double TakeOptimizerSeconds();
  // The same of waiting for other ranks: what is exchanged during passes costs none.
  double TakeExchangeSeconds();

 private:
  // Where a step's tokens lie (Run).
  struct StepData {
    const int32_t *inputs, *targets;
    const int64_t* positions;
  };
  // A step's leaves: lane leaf % lanes of its micro-batch leaf / lanes.
  struct Leaves {
    const StepPlan& plan;
    const StepData& data;
    int lanes;
    int pieces;     // of a leaf, passed one after the other
    int count;      // of the tree: all of the step, or where ranks make steps of their own those of this rank
    LeafRange own;  // of this rank, in the step
  };

  // The targets' nats in the step's first micro-batch with all tokens at each depth, into depth_nats_.
  void MeasureDepths(const StepPlan& plan, const StepData& data);
  // The gradient of the whole step, in the bank, and the parts of all leaves.
  void SumLeaves(const Leaves& leaves);
  void RunPiece(Tape& tape, int worker, int index, int piece, const Leaves& leaves);  // index: of the leaf in the tree
  // The tokens of a pass with some read as <unk>: another choice in every pass, the same when it is repeated.
  const int32_t* DropWords(int worker, uint64_t random_step, const int32_t* tokens, int64_t n);
  // --- with other ranks (step_ranks.cc) ---
  // Of all leaves and of the gradient's squares, from what each rank has.
  void ExchangeParts(LeafRange own);
  void ExchangeRecords();
  double SharedNorm() const;
  // What the first rank updates, the others get, and so on.
  class SendsUpdated;
  void UpdateShared(const StepPlan& plan, double gradient_norm);
  StepOutcome::Verdict Judge(const StepOutcome& outcome) const;
  // What is frozen has no gradient, in the norm as well; and whatever the update does, by momentum or decay, is undone,
  // and what the model itself writes into its buffers.
  void ClearFrozenGradients();
  void Apply(const StepPlan& plan, double gradient_norm);

  Model& model_;
  TrainConfig train_;
  uint64_t seed_;
  Ranks* ranks_;
  DType products_;
  LeafSums leaf_sums_;
  std::optional<GradientExchange> exchange_;
  std::vector<ObjectiveParts> parts_;       // by leaf
  std::vector<double> numbers_;             // of these, as they are exchanged
  std::vector<double> squares_;             // of the gradient, by block
  std::vector<std::vector<int32_t>> read_;  // by worker: tokens of a pass after word dropout
  Optimizer optimizer_;
  StepState state_;
  std::vector<FrozenRange> frozen_;
  std::vector<float> kept_;                                            // values of what is frozen, during an update
  std::optional<Tape> measuring_;                                      // of MeasureDepths
  std::array<std::vector<float>, kernels::kDepthChoices> depth_nats_;  // of a micro-batch's tokens; empty: not measured
  double optimizer_seconds_ = 0, exchange_seconds_ = 0;
};

}  // namespace flashlm
