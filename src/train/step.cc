#include "train/step.h"

#include <cmath>
#include <utility>

namespace flashlm {
namespace {

// The mean norm says little before this many updates.
constexpr int64_t kUpdatesBeforeGuard = 20;
constexpr double kNormDecay = 0.98;
constexpr double kNormGrowth = 1.5;

}  // namespace

TrainingStep::TrainingStep(Model& model, const OptimConfig& optim, const TrainConfig& train, DType dtype,
                           uint64_t seed)
    : model_(model), train_(train), seed_(seed), tape_(model.bank(), model.packs(), dtype),
      optimizer_(optim, model.bank()) {}

StepOutcome TrainingStep::Run(int64_t step, const int32_t* inputs, const int32_t* targets, double factor) {
  const ObjectiveConfig objective{train_.entropy_weight,
                                  step >= train_.value_start_step ? train_.value_weight : 0.0, train_.value_horizon};
  const int64_t tokens = int64_t{train_.micro_batch} * train_.sequence_length;
  StepOutcome outcome;
  model_.BeginStep();
  for (int i = 0; i < train_.accumulate; ++i) {
    tape_.BeginTraining(train_.micro_batch, train_.sequence_length, seed_,
                        static_cast<uint64_t>(step) * static_cast<uint64_t>(train_.accumulate) +
                            static_cast<uint64_t>(i));
    const Prediction prediction = model_.Forward(tape_, inputs + i * tokens);
    const ObjectiveParts parts =
        AddObjective(tape_, prediction, targets + i * tokens, objective, train_.accumulate);
    tape_.Backward();
    outcome.parts.cross_entropy += parts.cross_entropy / train_.accumulate;
    outcome.parts.entropy += parts.entropy / train_.accumulate;
    outcome.parts.value_loss += parts.value_loss / train_.accumulate;
    outcome.parts.value_correlation += parts.value_correlation / train_.accumulate;
    outcome.parts.auxiliary += parts.auxiliary / train_.accumulate;
  }
  const Stopwatch watch;
  outcome.gradient_norm = optimizer_.GradientNorm();
  outcome.verdict = Judge(outcome);
  if (outcome.verdict == StepOutcome::Verdict::kApplied) {
    optimizer_.Update(outcome.gradient_norm, factor, ++state_.updates);
    state_.skipped_in_a_row = 0;
    state_.mean_norm = state_.updates == 1
                           ? outcome.gradient_norm
                           : kNormDecay * state_.mean_norm + (1 - kNormDecay) * outcome.gradient_norm;
  } else {
    optimizer_.Discard();
    // A norm that stays high is no spike (a loss may have joined the objective): the guard lets it in after a few.
    if (outcome.verdict == StepOutcome::Verdict::kSpike) state_.mean_norm *= kNormGrowth;
    ++state_.skipped;
    ++state_.skipped_in_a_row;
  }
  model_.EndStep(outcome.verdict == StepOutcome::Verdict::kApplied);
  optimizer_seconds_ += watch.Seconds();
  return outcome;
}

StepOutcome::Verdict TrainingStep::Judge(const StepOutcome& outcome) const {
  if (!std::isfinite(outcome.parts.cross_entropy) || !std::isfinite(outcome.gradient_norm)) {
    return StepOutcome::Verdict::kNotFinite;
  }
  const bool guarded = train_.spike_factor > 0 && state_.updates >= kUpdatesBeforeGuard;
  if (guarded && outcome.gradient_norm > train_.spike_factor * state_.mean_norm) return StepOutcome::Verdict::kSpike;
  return StepOutcome::Verdict::kApplied;
}

double TrainingStep::TakeOptimizerSeconds() { return std::exchange(optimizer_seconds_, 0.0); }

}  // namespace flashlm
