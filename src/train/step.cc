#include "train/step.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.h"
#include "base/rng.h"
#include "cluster/network.h"
#include "kernels/vector/block_squares.h"
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

TrainingStep::TrainingStep(Model& model, const OptimConfig& optim, const TrainConfig& train, DType dtype, uint64_t seed,
                           Ranks* ranks)
    : model_(model),
      train_(train),
      seed_(seed),
      ranks_(ranks),
      products_(SessionInt8(train) ? DType::kI8 : dtype),
      leaf_sums_(model, dtype, products_ == DType::kI8, train.lanes > 1),
      optimizer_(optim, model.bank(), SessionUpdates(train, dtype)) {
  if (ranks_ == nullptr || train.cluster.Local()) return;
  const int64_t block = kernels::SquareBlock(model.bank().size());
  std::vector<int64_t> cuts = optimizer_.Cuts(ranks_->size(), PartsOfARank(ranks_->size()));
  optimizer_.Share(cuts, ranks_->rank(), ranks_->size());
  exchange_.emplace(*ranks_, std::move(cuts), block, train.cluster.exchange == "bf16" ? DType::kBF16 : DType::kF32);
  leaf_sums_.SendTo(*exchange_);
}

const int32_t* TrainingStep::DropWords(int worker, uint64_t random_step, const int32_t* tokens, int64_t n) {
  if (train_.word_dropout <= 0) return tokens;
  std::vector<int32_t>& read = read_[static_cast<size_t>(worker)];
  read.resize(static_cast<size_t>(n));
  Rng rng(seed_, Purpose::kWordDropout, random_step);
  for (size_t i = 0; i < read.size(); ++i) {
    read[i] = rng.Uniform() < train_.word_dropout ? Tokenizer::kUnk : tokens[i];
  }
  return read.data();
}

void TrainingStep::RunPiece(Tape& tape, int worker, int index, int piece, const Leaves& leaves) {
  const StepPlan& plan = leaves.plan;
  const StepData& data = leaves.data;
  const int leaf = leaves.count == leaves.own.count() ? leaves.own.begin + index : index;  // of the whole step
  const int sequences = plan.size.micro_batch / leaves.lanes / leaves.pieces;
  const int64_t tokens = int64_t{sequences} * plan.size.length;
  const int64_t begin = (int64_t{leaf} * leaves.pieces + piece) * tokens;
  const auto random_step = static_cast<uint64_t>((plan.micro_batches * leaves.lanes + leaf) * leaves.pieces + piece);
  tape.BeginTraining(sequences, plan.size.length, seed_, random_step);
  const int32_t* read = data.inputs + begin;
  const Prediction prediction = model_.Predict(tape, DropWords(worker, random_step, read, tokens),
                                               data.positions == nullptr ? nullptr : data.positions + begin);
  Objective::Pass pass{read, data.targets + begin, plan.step, plan.fraction, leaves.count * leaves.pieces};
  std::array<const float*, kernels::kDepthChoices> nats;
  if (leaf < leaves.lanes && !depth_nats_[0].empty()) {
    for (size_t d = 0; d < nats.size(); ++d) nats[d] = depth_nats_[d].data() + begin;
    pass.depth_nats = nats.data();
    pass.measured = 1.0 / plan.size.accumulate;
  }
  parts_[static_cast<size_t>(index)].AddShare(train_.objective.Add(tape, prediction, pass), leaves.pieces);
  tape.Backward();
}

void TrainingStep::MeasureDepths(const StepPlan& plan, const StepData& data) {
  const int own = model_.Depth(), sequences = plan.size.micro_batch;
  const int64_t tokens = int64_t{sequences} * plan.size.length;
  for (auto& nats : depth_nats_) nats.resize(static_cast<size_t>(tokens));
  if (!measuring_) measuring_.emplace(model_.bank(), model_.packs(), tape().dtype());
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

int TrainingStep::GradientCopies(const StepSize& size) const {
  const int leaves = size.accumulate * train_.LanesOf(size);
  return leaf_sums_.CopiesFor(ranks_ == nullptr ? leaves : (leaves + ranks_->size() - 1) / ranks_->size());
}

StepOutcome TrainingStep::Run(const StepPlan& plan, const int32_t* inputs, const int32_t* targets,
                              const int64_t* positions) {
  const StepData data{inputs, targets, positions};
  const int lanes = train_.LanesOf(plan.size), count = plan.size.accumulate * lanes;
  const LeafRange own = ranks_ == nullptr ? LeafRange{0, count} : ShareOf(count, ranks_->rank(), ranks_->size());
  const Leaves leaves{plan, data, lanes, train_.PiecesOf(plan.size), exchange_ ? count : own.count(), own};
  // Of the first micro-batch, whose leaves are the first.
  if (own.begin < lanes && train_.objective.MeasuresDepths(plan.step, plan.fraction)) {
    MeasureDepths(plan, data);
  } else {
    for (auto& nats : depth_nats_) nats.clear();
  }
  model_.BeginStep();
  SumLeaves(leaves);
  StepOutcome outcome;
  for (const ObjectiveParts& parts : parts_) outcome.parts.AddShare(parts, leaves.count);
  const Stopwatch watch;
  if (!exchange_) ClearFrozenGradients();
  outcome.gradient_norm = exchange_ ? SharedNorm() : optimizer_.GradientNorm();
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

void TrainingStep::SumLeaves(const Leaves& leaves) {
  const Stopwatch watch;
  parts_.assign(static_cast<size_t>(leaves.count), {});
  read_.resize(static_cast<size_t>(ThreadCount()));
  if (exchange_) exchange_->Begin(leaves.count);
  // Who makes steps of its own has a tree of its own.
  const int first = exchange_ ? 0 : leaves.own.begin;
  const LeafRange own{leaves.own.begin - first, leaves.own.end - first};
  leaf_sums_.Run(leaves.count, leaves.pieces, own, [this, &leaves](Tape& tape, int worker, int leaf, int piece) {
    RunPiece(tape, worker, leaf, piece, leaves);
  });
  if (!exchange_) return;
  const double seconds = watch.Seconds();
  ranks_->SetPatience(train_.cluster.PatienceFor(seconds));
  exchange_->Finish(model_.bank().gradients());
  leaf_sums_.Clear();
  ClearFrozenGradients();
  ExchangeParts(leaves.own);
  exchange_seconds_ += watch.Seconds() - seconds;
}

void TrainingStep::ClearFrozenGradients() {
  float* const gradients = model_.bank().gradients();
  for (const auto& [begin, end] : frozen_) std::fill(gradients + begin, gradients + end, 0.0f);
}

void TrainingStep::Apply(const StepPlan& plan, double gradient_norm) {
  float* const values = model_.bank().values();
  kept_.clear();
  for (const auto& [begin, end] : frozen_) kept_.insert(kept_.end(), values + begin, values + end);
  if (exchange_) {
    UpdateShared(plan, gradient_norm);
  } else {
    optimizer_.Update(gradient_norm, plan.factor, state_.updates, plan.fraction);
  }
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

Profile TrainingStep::TakeProfile() {
  Profile all;
  const int workers = leaf_sums_.worker_count();
  leaf_sums_.ForEachTape([&](Tape& tape) {
    for (const auto& [name, time] : tape.profile()) {
      OpTime& sum = all[name];
      sum.forward_seconds += time.forward_seconds / workers;
      sum.backward_seconds += time.backward_seconds / workers;
      sum.calls += time.calls;
    }
    tape.ClearProfile();
  });
  return all;
}

void TrainingStep::GiveBackMemory() {
  leaf_sums_.ForEachTape([](Tape& tape) { tape.GiveBackMemory(); });
  if (measuring_) measuring_->GiveBackMemory();
}

size_t TrainingStep::activation_bytes() const { return leaf_sums_.SumOverTapes(&Tape::activation_bytes); }
size_t TrainingStep::gradient_bytes() const { return leaf_sums_.SumOverTapes(&Tape::gradient_bytes); }
int64_t TrainingStep::grow_events() const { return leaf_sums_.SumOverTapes(&Tape::grow_events); }

double TrainingStep::TakeOptimizerSeconds() { return std::exchange(optimizer_seconds_, 0.0); }
double TrainingStep::TakeExchangeSeconds() { return std::exchange(exchange_seconds_, 0.0); }

}  // namespace flashlm
