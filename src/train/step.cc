#include "train/step.h"

#include <cmath>
#include <utility>

#include "base/rng.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

// The mean norm says little before this many updates.
constexpr int64_t kUpdatesBeforeGuard = 20;
constexpr double kNormDecay = 0.98;
constexpr double kNormGrowth = 1.5;

}  // namespace

TrainingStep::TrainingStep(Model& model, const OptimConfig& optim, const TrainConfig& train, DType dtype, uint64_t seed)
    : model_(model),
      train_(train),
      seed_(seed),
      tape_(model.bank(), model.packs(), dtype),
      optimizer_(optim, model.bank(), dtype) {
  if (train.word_dropout > 0) read_.resize(static_cast<size_t>(train.micro_batch) * train.sequence_length);
}

const int32_t* TrainingStep::DropWords(uint64_t random_step, const int32_t* tokens) {
  if (read_.empty()) return tokens;
  Rng rng(seed_, Purpose::kWordDropout, random_step);
  for (size_t n = 0; n < read_.size(); ++n) {
    read_[n] = rng.Uniform() < train_.word_dropout ? Tokenizer::kUnk : tokens[n];
  }
  return read_.data();
}

StepOutcome TrainingStep::Run(int64_t step, const int32_t* inputs, const int32_t* targets, double factor,
                              double fraction, const int64_t* positions) {
  return Run({step, step * train_.accumulate, train_.Size(), factor, fraction}, inputs, targets, positions);
}

StepOutcome TrainingStep::Run(const StepPlan& plan, const int32_t* inputs, const int32_t* targets,
                              const int64_t* positions) {
  const StepSize& size = plan.size;
  const int64_t tokens = int64_t{size.micro_batch} * size.length;
  StepOutcome outcome;
  model_.BeginStep();
  for (int i = 0; i < size.accumulate; ++i) {
    const auto random_step = static_cast<uint64_t>(plan.micro_batches + i);
    tape_.BeginTraining(size.micro_batch, size.length, seed_, random_step);
    const int32_t* read = inputs + i * tokens;
    const Prediction prediction =
        model_.Predict(tape_, DropWords(random_step, read), positions == nullptr ? nullptr : positions + i * tokens);
    const ObjectiveParts parts =
        train_.objective.Add(tape_, prediction, read, targets + i * tokens, plan.step, plan.fraction, size.accumulate);
    tape_.Backward();
    outcome.parts.AddShare(parts, size.accumulate);
  }
  const Stopwatch watch;
  outcome.gradient_norm = optimizer_.GradientNorm();
  outcome.verdict = Judge(outcome);
  if (outcome.verdict == StepOutcome::Verdict::kApplied) {
    optimizer_.Update(outcome.gradient_norm, plan.factor, ++state_.updates, plan.fraction);
    state_.skipped_in_a_row = 0;
    state_.mean_norm = state_.updates == 1 ? outcome.gradient_norm
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
