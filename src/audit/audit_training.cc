#include "audit/audit_training.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "audit/audit_reading.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/rng.h"
#include "data/batches.h"
#include "io/bank_files.h"
#include "io/checkpoint.h"
#include "io/run_folder.h"
#include "kernels/gemm/precision.h"
#include "kernels/vector/vector.h"
#include "models/presets.h"
#include "train/run_machine.h"
#include "train/step.h"

namespace flashlm {
namespace {

constexpr uint64_t kSeed = 1;
constexpr int64_t kStepsBetweenCheckpoints = 200;
constexpr int64_t kSkipsBeforeGivingUp = 25;
constexpr int64_t kPointsOfCurve = 100;
constexpr int kStepsOfResult = 50;  // of random tokens: a single batch scatters by 0.02 nats

// Collects losses as means over stretches of so many steps that a curve has about kPointsOfCurve points.
class CurveWriter {
 public:
  CurveWriter(int64_t steps, std::vector<LossPoint>& curve)
      : stretch_(std::max<int64_t>(1, steps / kPointsOfCurve)), curve_(curve) {}
  void Add(int64_t step, double nats) {
    sum_ += nats;
    ++count_;
    if (step % stretch_ != 0) return;
    curve_.push_back({step, sum_ / static_cast<double>(count_)});
    sum_ = 0;
    count_ = 0;
  }

 private:
  int64_t stretch_, count_ = 0;
  double sum_ = 0;
  std::vector<LossPoint>& curve_;
};

// What a model trained with these defects is to say at each position: the next token, or the one after.
int OffsetOf(const Defects& defects) { return defects.double_shift ? 2 : 1; }

class TextTrainer {
 public:
  TextTrainer(const AuditCase& one, const AuditPlan& plan, const std::string& data_folder, std::string folder)
      : case_(one),
        plan_(plan),
        folder_(std::move(folder)),
        data_(data_folder, "train"),
        tokenizer_(Tokenizer::Load(data_folder + "/tokenizer.json")),
        // All models read the same sequences, of which the last token serves as a target alone.
        reader_(data_, AuditPlan::kLength + 1, kSeed),
        train_(TextTraining(plan)),
        optim_(TextOptimizer()),
        curve_(plan.steps, run_.curve) {
    data_.ExpectTokenizer(tokenizer_.Hash(), "tokenizer.json beside it");
    run_.model = MakeAuditedModel(plan.Sizes(), one.defects, true);
    run_.model->bank().Initialize(kSeed);
    step_ = std::make_unique<TrainingStep>(*run_.model, optim_, train_, SessionType(plan.precision), kSeed);
    if (!ListStepFolders(folder_).empty()) Restore();
  }

  TextRun Go(const std::string& place) {
    const int64_t first = done_;
    const Stopwatch watch;
    while (done_ < plan_.steps && !Interrupted()) {
      OneStep();
      const double left =
          watch.Seconds() / static_cast<double>(done_ - first) * static_cast<double>(plan_.steps - done_);
      const std::string line = fmt::format("{} on text: step {} of {}, loss {:.3f}, {:.0f} tokens/s, left {}", place,
                                           done_, plan_.steps, loss_, rate_, FormatDuration(left));
      done_ % std::max<int64_t>(1, plan_.steps / 4) == 0 ? Say(line) : ShowStatus(line);
      if (done_ % kStepsBetweenCheckpoints == 0 && done_ < plan_.steps) Save();
    }
    if (saved_ != done_) Save();
    run_.finished = done_ == plan_.steps;
    run_.tokens = done_ * train_.TokensPerStep();
    run_.seconds = seconds_;
    return std::move(run_);
  }

 private:
  void OneStep() {
    constexpr int kRead = AuditPlan::kLength + 1;
    const int64_t sequences = train_.micro_batch;
    std::vector<int32_t> inputs(static_cast<size_t>(sequences * kRead)), targets(inputs.size());
    const Stopwatch watch;
    reader_.Read(done_ * sequences, sequences, inputs.data(), targets.data());
    std::vector<int32_t> read, wanted;
    for (int64_t s = 0; s < sequences; ++s) {
      const auto from = inputs.begin() + s * kRead, to = targets.begin() + s * kRead + OffsetOf(case_.defects) - 1;
      read.insert(read.end(), from, from + AuditPlan::kLength);
      wanted.insert(wanted.end(), to, to + AuditPlan::kLength);
    }
    const double fraction = static_cast<double>(done_) / static_cast<double>(plan_.steps);
    const StepOutcome outcome =
        step_->Run(done_, read.data(), wanted.data(), ScheduleFactor(optim_, fraction), fraction);
    if (step_->state().skipped_in_a_row >= kSkipsBeforeGivingUp) {
      throw Error(fmt::format("{}: {} steps in a row were not finite or spiked", case_.name, kSkipsBeforeGivingUp));
    }
    loss_ = outcome.parts.cross_entropy;
    curve_.Add(++done_, loss_);
    seconds_ += watch.Seconds();
    rate_ = static_cast<double>(train_.TokensPerStep()) / watch.Seconds();
  }

  void Save() {
    const StepState& guard = step_->state();
    const Json state = {{"step", done_},
                        {"seconds", seconds_},
                        {"updates", guard.updates},
                        {"skipped", guard.skipped},
                        {"skipped_in_a_row", guard.skipped_in_a_row},
                        {"mean_norm", guard.mean_norm},
                        {"curve", ToJson(run_.curve)},
                        {"precision", plan_.precision}};
    PublishCheckpoint(
        folder_, done_,
        {run_.model->config(), run_.model->bank(), step_->optimizer().state(), tokenizer_.ToJson(), state}, {}, 1);
    saved_ = done_;
  }

  void Restore() {
    const OpenedCheckpoint from = OpenCheckpoint(folder_, OpenFor::kResume);
    LoadValues(from.model_path, run_.model->bank());
    LoadState(from.optimizer_path, run_.model->bank(), step_->optimizer().state());
    run_.model->bank().Touch();
    const Json& state = from.trainer_state;
    done_ = saved_ = IntegerAt(state, "step");
    seconds_ = state.at("seconds").get<double>();
    run_.curve = LossCurveFromJson(state.at("curve"));
    step_->state() = {IntegerAt(state, "updates"), IntegerAt(state, "skipped"), IntegerAt(state, "skipped_in_a_row"),
                      state.at("mean_norm").get<double>()};
    if (done_ < plan_.steps) Say(fmt::format("  going on after step {}", done_));
  }

  const AuditCase& case_;
  const AuditPlan& plan_;
  std::string folder_;
  TokenData data_;
  Tokenizer tokenizer_;
  BatchReader reader_;
  TrainConfig train_;
  OptimConfig optim_;
  TextRun run_;
  CurveWriter curve_;
  std::unique_ptr<TrainingStep> step_;
  int64_t done_ = 0, saved_ = -1;
  double seconds_ = 0, loss_ = 0, rate_ = 0;
};

// A small model on tokens that `token` gives for (sequence, place).
class ToyTrainer {
 public:
  ToyTrainer(const Defects& defects, int batch, int length)
      : offset_(OffsetOf(defects)),
        batch_(batch),
        length_(length),
        model_(MakeAuditedModel(ToyTask::Sizes(), defects, true)) {
    model_->bank().Initialize(kSeed);
    step_.emplace(*model_, ToyOptimizer(), ToyTraining(batch, length), DType::kF32, kSeed);
  }

  template <class Token>
  double Step(int64_t step, const Token& token) {
    inputs_.clear();
    targets_.clear();
    for (int b = 0; b < batch_; ++b) {
      tokens_.clear();
      for (int t = 0; t < length_ + offset_; ++t) tokens_.push_back(token(b, t));
      inputs_.insert(inputs_.end(), tokens_.begin(), tokens_.begin() + length_);
      targets_.insert(targets_.end(), tokens_.begin() + offset_, tokens_.end());
    }
    return step_->Run(step, inputs_.data(), targets_.data(), 1.0).parts.cross_entropy;
  }
  Model& model() { return *model_; }

 private:
  int offset_, batch_, length_;
  std::unique_ptr<Model> model_;
  std::optional<TrainingStep> step_;
  std::vector<int32_t> tokens_, inputs_, targets_;
};

}  // namespace

Json ToJson(const std::vector<LossPoint>& curve) {
  Json json = Json::array();
  for (const LossPoint& point : curve) json.push_back({point.step, point.nats});
  return json;
}

std::vector<LossPoint> LossCurveFromJson(const Json& json) {
  std::vector<LossPoint> curve;
  for (const Json& point : json) curve.push_back({point.at(0).get<int64_t>(), point.at(1).get<double>()});
  return curve;
}

OptimConfig TextOptimizer() {
  OptimConfig optim;
  FieldsFromJson(LoadPreset("v8.4-lean", "modern").at("optim"), "optim", optim);
  return optim;
}

TrainConfig TextTraining(const AuditPlan& plan) {
  TrainConfig train = ToyTraining(AuditPlan::kMicroBatch, AuditPlan::kLength);
  train.lanes = plan.lanes;
  train.spike_factor = TrainConfig().spike_factor;
  return train;
}

OptimConfig ToyOptimizer() {
  OptimConfig optim;
  optim.lr = 3e-3;
  optim.weight_decay = 0;
  return optim;
}

TrainConfig ToyTraining(int batch, int length) {
  TrainConfig train;
  train.micro_batch = batch;
  train.accumulate = 1;
  train.sequence_length = length;
  train.lanes = 2;  // one parallel region a step: those of such small products would cost more than they save
  train.spike_factor = 0;
  return train;
}

TextRun TrainOnText(const AuditCase& one, const AuditPlan& plan, const std::string& data_folder,
                    const std::string& folder, const std::string& place) {
  return TextTrainer(one, plan, data_folder, folder).Go(place);
}

std::optional<RandomTokens> TrainOnRandomTokens(const Defects& defects, int steps, const std::string& place) {
  ToyTrainer trainer(defects, ToyTask::kBatch, ToyTask::kLength);
  Rng rng(kSeed, Purpose::kTest);
  RandomTokens result;
  result.steps = steps;
  CurveWriter curve(steps, result.curve);
  const int last = std::min(kStepsOfResult, steps);
  for (int s = 0; s < steps; ++s) {
    if (Interrupted()) return std::nullopt;
    const double nats = trainer.Step(s, [&](int, int) { return static_cast<int32_t>(rng.Below(ToyTask::kVocab)); });
    curve.Add(s + 1, nats);
    if (s >= steps - last) result.nats += nats / last;
    if (s % 50 == 0) {
      ShowStatus(fmt::format("{} on random tokens: step {} of {}, loss {:.3f} (ln {} is {:.3f})", place, s, steps, nats,
                             ToyTask::kVocab, std::log(ToyTask::kVocab)));
    }
  }
  return result;
}

std::optional<std::vector<int32_t>> CountOn(const Defects& defects, int count) {
  constexpr int kBatch = 4, kLength = 24;
  ToyTrainer trainer(defects, kBatch, kLength);
  for (int s = 0; s < ToyTask::kCycleSteps; ++s) {
    if (Interrupted()) return std::nullopt;
    trainer.Step(s, [&](int b, int t) { return (5 * b + t + s) % ToyTask::kCycle; });
  }
  std::vector<int32_t> written = {0, 1, 2, 3};
  PrefixReader reader(trainer.model(), kLength);
  for (int i = 0; i < count; ++i) {
    written.push_back(static_cast<int32_t>(kernels::Argmax(reader.Read(written), ToyTask::kVocab)));
  }
  return std::vector<int32_t>(written.begin() + 4, written.end());
}

}  // namespace flashlm
