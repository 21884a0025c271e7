#include "train/step.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "base/rng.h"
#include "models/predict.h"
#include "text/tokenizer.h"
#include "train/run_machine.h"

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
      lanes_(static_cast<size_t>(std::max(1, train.lanes))),
      optimizer_(optim, model.bank(), dtype) {
  lanes_[0].tape.emplace(model.bank(), model.packs(), dtype);
  for (size_t i = 1; i < lanes_.size(); ++i) {
    lanes_[i].gradients = std::make_unique<GradientsApart>(model.bank());
    lanes_[i].packs = std::make_unique<WeightPacks>(model.bank());
    lanes_[i].tape.emplace(model.bank(), *lanes_[i].packs, dtype, lanes_[i].gradients.get());
  }
  const bool int8 = SessionInt8(train);
  for (Lane& lane : lanes_) lane.tape->SetInt8Training(int8);
}

const int32_t* TrainingStep::DropWords(Lane& lane, uint64_t random_step, const int32_t* tokens, int64_t n) const {
  if (train_.word_dropout <= 0) return tokens;
  lane.read.resize(static_cast<size_t>(n));
  Rng rng(seed_, Purpose::kWordDropout, random_step);
  for (size_t i = 0; i < lane.read.size(); ++i) {
    lane.read[i] = rng.Uniform() < train_.word_dropout ? Tokenizer::kUnk : tokens[i];
  }
  return lane.read.data();
}

void TrainingStep::RunLane(int index, int lanes, const StepPlan& plan, const StepData& data) {
  Lane& lane = lanes_[static_cast<size_t>(index)];
  const int sequences = plan.size.micro_batch / lanes;
  const int64_t tokens = int64_t{sequences} * plan.size.length;
  lane.parts = {};
  for (int i = 0; i < plan.size.accumulate; ++i) {
    const int64_t begin = (int64_t{i} * lanes + index) * tokens;
    const auto random_step = static_cast<uint64_t>((plan.micro_batches + i) * lanes + index);
    Tape& tape = *lane.tape;
    tape.BeginTraining(sequences, plan.size.length, seed_, random_step);
    const int32_t* read = data.inputs + begin;
    const Prediction prediction = model_.Predict(tape, DropWords(lane, random_step, read, tokens),
                                                 data.positions == nullptr ? nullptr : data.positions + begin);
    const int passes = plan.size.accumulate * lanes;
    Objective::Pass pass{read, data.targets + begin, plan.step, plan.fraction, passes};
    std::array<const float*, kernels::kDepthChoices> nats;
    if (i == 0 && !depth_nats_[0].empty()) {
      for (size_t d = 0; d < nats.size(); ++d) nats[d] = depth_nats_[d].data() + begin;
      pass.depth_nats = nats.data();
      pass.measured = 1.0 / plan.size.accumulate;
    }
    lane.parts.AddShare(train_.objective.Add(tape, prediction, pass), passes);
    tape.Backward();
  }
}

void TrainingStep::MeasureDepths(const StepPlan& plan, const StepData& data) {
  const int own = model_.Depth(), sequences = plan.size.micro_batch;
  const int64_t tokens = int64_t{sequences} * plan.size.length;
  for (auto& nats : depth_nats_) nats.resize(static_cast<size_t>(tokens));
  if (!measuring_) measuring_.emplace(model_.bank(), model_.packs(), lanes_[0].tape->dtype());
  for (size_t d = 0; d < depth_nats_.size(); ++d) {
    model_.SetDepth(kernels::kReasoningDepths[d]);
    measuring_->BeginInference(sequences, plan.size.length, nullptr);
    const Prediction prediction = model_.Predict(*measuring_, data.inputs, data.positions);
    const CrossEntropyResult loss = NextTokenLoss(*measuring_, prediction, data.targets, {});
    std::copy_n(loss.nats, tokens, depth_nats_[d].begin());
  }
  model_.SetDepth(own);
}

StepOutcome TrainingStep::Run(int64_t step, const int32_t* inputs, const int32_t* targets, double factor,
                              double fraction, const int64_t* positions) {
  return Run({step, step * train_.accumulate, train_.Size(), factor, fraction}, inputs, targets, positions);
}

StepOutcome TrainingStep::Run(const StepPlan& plan, const int32_t* inputs, const int32_t* targets,
                              const int64_t* positions) {
  const StepData data{inputs, targets, positions};
  // A growing sequence leaves fewer of them in a micro-batch.
  const int lanes = std::gcd(plan.size.micro_batch, static_cast<int>(lanes_.size()));
  StepOutcome outcome;
  if (train_.objective.MeasuresDepths(plan.step, plan.fraction)) {
    MeasureDepths(plan, data);
  } else {
    for (auto& nats : depth_nats_) nats.clear();
  }
  model_.BeginStep();
  if (lanes == 1) {
    RunLane(0, 1, plan, data);
  } else {
    ParallelPieces(lanes, [&](int64_t i) {
      Lane& lane = lanes_[static_cast<size_t>(i)];
      try {
        RunLane(static_cast<int>(i), lanes, plan, data);
      } catch (...) {
        lane.failure = std::current_exception();
      }
    });
  }
  for (int i = 0; i < lanes; ++i) {
    Lane& lane = lanes_[static_cast<size_t>(i)];
    if (lane.failure) std::rethrow_exception(std::exchange(lane.failure, nullptr));
    if (lane.gradients) lane.gradients->MoveTo(model_.bank());
    outcome.parts.AddShare(lane.parts, 1);
  }
  const Stopwatch watch;
  ClearFrozenGradients();
  outcome.gradient_norm = optimizer_.GradientNorm();
  outcome.verdict = Judge(outcome);
  if (outcome.verdict == StepOutcome::Verdict::kApplied) {
    ++state_.updates;
    Apply(plan, outcome.gradient_norm);
    state_.skipped_in_a_row = 0;
    state_.mean_norm = state_.updates == 1 ? outcome.gradient_norm
                                           : kNormDecay * state_.mean_norm + (1 - kNormDecay) * outcome.gradient_norm;
  } else {
    optimizer_.Discard();
    // A norm that stays high is no spike (a loss may have joined the objective): the guard lets it in after a few.
    if (outcome.verdict == StepOutcome::Verdict::kSpike) state_.mean_norm *= kNormGrowth;
    ++state_.skipped;
    ++state_.skipped_in_a_row;
    model_.EndStep(/*applied=*/false);
  }
  optimizer_seconds_ += watch.Seconds();
  return outcome;
}

void TrainingStep::ClearFrozenGradients() {
  float* const gradients = model_.bank().gradients();
  for (const auto& [begin, end] : frozen_) std::fill(gradients + begin, gradients + end, 0.0f);
}

void TrainingStep::Apply(const StepPlan& plan, double gradient_norm) {
  float* const values = model_.bank().values();
  kept_.clear();
  for (const auto& [begin, end] : frozen_) kept_.insert(kept_.end(), values + begin, values + end);
  optimizer_.Update(gradient_norm, plan.factor, state_.updates, plan.fraction);
  model_.EndStep(/*applied=*/true);
  if (frozen_.empty()) return;
  auto kept = kept_.begin();
  for (const auto& [begin, end] : frozen_) {
    std::copy(kept, kept + (end - begin), values + begin);
    kept += end - begin;
  }
  model_.bank().Touch();
}

StepOutcome::Verdict TrainingStep::Judge(const StepOutcome& outcome) const {
  if (!std::isfinite(outcome.parts.cross_entropy) || !std::isfinite(outcome.gradient_norm)) {
    return StepOutcome::Verdict::kNotFinite;
  }
  const bool guarded = train_.spike_factor > 0 && state_.updates >= kUpdatesBeforeGuard;
  if (guarded && outcome.gradient_norm > train_.spike_factor * state_.mean_norm) return StepOutcome::Verdict::kSpike;
  return StepOutcome::Verdict::kApplied;
}

void TrainingStep::SetProfiling(bool on) {
  for (Lane& lane : lanes_) lane.tape->SetProfiling(on);
}

Profile TrainingStep::TakeProfile() {
  Profile all;
  const auto lanes = static_cast<double>(lanes_.size());
  for (Lane& lane : lanes_) {
    for (const auto& [name, time] : lane.tape->profile()) {
      OpTime& sum = all[name];
      sum.forward_seconds += time.forward_seconds / lanes;
      sum.backward_seconds += time.backward_seconds / lanes;
      sum.calls += time.calls;
    }
    lane.tape->ClearProfile();
  }
  return all;
}

namespace {

template <class Lanes, class Figure>
auto SumOver(const Lanes& lanes, const Figure& figure) {
  decltype(figure(*lanes[0].tape)) sum = 0;
  for (const auto& lane : lanes) sum += figure(*lane.tape);
  return sum;
}

}  // namespace

size_t TrainingStep::activation_bytes() const {
  return SumOver(lanes_, [](const Tape& tape) { return tape.activation_bytes(); });
}
size_t TrainingStep::gradient_bytes() const {
  return SumOver(lanes_, [](const Tape& tape) { return tape.gradient_bytes(); });
}
int64_t TrainingStep::grow_events() const {
  return SumOver(lanes_, [](const Tape& tape) { return tape.grow_events(); });
}

double TrainingStep::TakeOptimizerSeconds() { return std::exchange(optimizer_seconds_, 0.0); }

}  // namespace flashlm
