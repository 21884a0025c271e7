#include "train/throughput.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/gemm/peak.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"
#include "models/model.h"
#include "train/growth.h"
#include "train/run_machine.h"
#include "train/step.h"

namespace flashlm {
namespace {

struct Row {
  std::string name;
  double forward_ms, backward_ms;
  int64_t calls;
};

std::vector<Row> RowsOf(const Profile& profile, double optimizer_seconds) {
  std::vector<Row> rows;
  for (const auto& [name, time] : profile) {
    rows.push_back({name, 1e3 * time.forward_seconds, 1e3 * time.backward_seconds, time.calls});
  }
  rows.push_back({"optimizer", 0, 1e3 * optimizer_seconds, 1});
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.forward_ms + a.backward_ms > b.forward_ms + b.backward_ms; });
  return rows;
}

std::string TableOf(const std::vector<Row>& rows, double step_ms, int64_t tokens) {
  std::string table = fmt::format("{:<24}{:>8}{:>12}{:>12}{:>10}{:>12}\n", "operation", "calls", "forward ms",
                                  "backward ms", "share", "us/token");
  double known = 0;
  const auto line = [&](const std::string& name, int64_t calls, double forward, double backward) {
    table +=
        fmt::format("{:<24}{:>8}{:>12.2f}{:>12.2f}{:>9.1f}%{:>12.2f}\n", name, calls, forward, backward,
                    100 * (forward + backward) / step_ms, 1e3 * (forward + backward) / static_cast<double>(tokens));
  };
  for (const Row& row : rows) {
    line(row.name, row.calls, row.forward_ms, row.backward_ms);
    known += row.forward_ms + row.backward_ms;
  }
  line("(everything else)", 0, std::max(0.0, step_ms - known), 0);
  return table;
}

// When in a pass the gradient of which parameters is complete.
class CompletionTimes final : public GradientWatch {
 public:
  explicit CompletionTimes(const ParamBank& bank) : cuts_(bank.Cuts()) {}

  void Begin() {
    completed_.clear();
    watch_.Restart();
  }
  std::span<const int64_t> cuts() const override { return cuts_; }
  void Complete(int part) override {
    const auto p = static_cast<size_t>(part);
    completed_.push_back({watch_.Seconds(), cuts_[p + 1] - cuts_[p]});
  }
  void Between() override { seconds_ = watch_.Seconds(); }

  // Of the pass that is over.
  std::vector<CompletedValues> Completed() const {
    std::vector<CompletedValues> completed = completed_;
    for (CompletedValues& some : completed) some.share /= seconds_;
    return completed;
  }

 private:
  std::vector<int64_t> cuts_;
  Stopwatch watch_;
  double seconds_ = 1;                      // of the pass
  std::vector<CompletedValues> completed_;  // in seconds
};

// Steps on random tokens.
class RandomTraining {
 public:
  RandomTraining(const RunConfig& config, DType dtype, Ranks* ranks = nullptr)
      : model_(Initialized(config)),
        train_(Resolved(config.train, ranks)),
        step_(*model_, config.optim, train_, dtype, config.seed, ranks),
        size_(config.train.Size()),
        inputs_(static_cast<size_t>(Growth(config.train).MostTokens())),
        targets_(inputs_.size()) {
    Rng rng(config.seed, Purpose::kTest);
    for (auto* ids : {&inputs_, &targets_}) {
      for (int32_t& id : *ids) id = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model_->vocab())));
    }
  }

  // Of the steps to come; at first that of the configuration.
  void SetSize(const StepSize& size) { size_ = size; }
  // The seconds that the next step takes.
  double Step() {
    const Stopwatch watch;
    const int64_t step = kFirst + done_++;
    step_.Run({step, step * size_.accumulate, size_}, inputs_.data(), targets_.data());
    return watch.Seconds();
  }
  // The gradient of a micro-batch, with tensors of `dtype` and products of int8 or of these.
  std::vector<float> Gradient(DType dtype, bool int8) {
    ParamBank& bank = model_->bank();
    WeightPacks packs(bank);
    Tape tape(bank, packs, dtype);
    tape.SetInt8Training(int8);
    tape.BeginTraining(size_.micro_batch, size_.length, /*seed=*/1, /*random_step=*/1);
    const Prediction prediction = model_->Predict(tape, inputs_.data());
    train_.objective.Add(tape, prediction, inputs_.data(), targets_.data(), kFirst, 1, 1);
    tape.Backward();
    std::vector<float> gradient(bank.gradients(), bank.gradients() + bank.size());
    bank.ClearGradients();
    return gradient;
  }
  // When in a pass gradients are complete.
  std::vector<CompletedValues> Completed() {
    ParamBank& bank = model_->bank();
    Tape tape(bank, model_->packs(), step_.tape().dtype());
    tape.SetInt8Training(step_.products() == DType::kI8);
    CompletionTimes times(bank);
    const int pieces = train_.PiecesOf(size_), sequences = size_.micro_batch / train_.LanesOf(size_) / pieces;
    for (int leaf = 0; leaf < 2; ++leaf) {  // the first one allocates
      times.Begin();
      for (int piece = 0; piece < pieces; ++piece) {
        tape.SetWatch(piece + 1 < pieces ? nullptr : &times);
        tape.BeginTraining(sequences, size_.length, /*seed=*/1, /*random_step=*/1);
        const Prediction prediction = model_->Predict(tape, inputs_.data());
        train_.objective.Add(tape, prediction, inputs_.data(), targets_.data(), kFirst, 1, 1);
        tape.Backward();
      }
    }
    bank.ClearGradients();
    return times.Completed();
  }
  const Model& model() const { return *model_; }
  TrainingStep& step() { return step_; }
  const TrainConfig& train() const { return train_; }

 private:
  static std::unique_ptr<Model> Initialized(const RunConfig& config) {
    std::unique_ptr<Model> model = MakeModel(config.model, true);
    model->bank().Initialize(config.seed);
    return model;
  }
  TrainConfig Resolved(TrainConfig train, const Ranks* ranks) const {
    ResolveLanes(*model_, train, ranks);
    if (ranks != nullptr) RefuseIdleRanks(*model_, train, ranks->size());
    return train;
  }

  // Some terms of the objective begin at a later step; what is measured is the steady state.
  static constexpr int64_t kFirst = int64_t{1} << 31;

  std::unique_ptr<Model> model_;
  TrainConfig train_;
  TrainingStep step_;
  StepSize size_;
  std::vector<int32_t> inputs_, targets_;
  int64_t done_ = 0;
};

// How far the gradients of a run's products are from those of f32, by layer: "blocks.3" or the first part of a name.
struct LayerNoise {
  std::string layer;
  double norm = 0, tensors = 0, products = 0;  // sums of squares: of the gradient, and of what the types change in it

  double OfTensors() const { return std::sqrt(tensors / norm); }
  double OfProducts() const { return std::sqrt(products / norm); }
};

std::vector<LayerNoise> MeasureNoise(RandomTraining& training, DType dtype) {
  const std::vector<float> exact = training.Gradient(DType::kF32, false), floats = training.Gradient(dtype, false),
                           int8 = training.Gradient(dtype, true);
  std::vector<LayerNoise> layers;
  for (const ParamInfo& info : training.model().bank().infos()) {
    if (info.role == Role::kBuffer) continue;
    size_t end = info.name.find('.');
    if (info.name.starts_with("blocks.")) end = info.name.find('.', end + 1);
    const std::string layer = info.name.substr(0, end);
    if (layers.empty() || layers.back().layer != layer) layers.push_back({layer});
    for (auto i = static_cast<size_t>(info.offset); i < static_cast<size_t>(info.offset + info.size); ++i) {
      layers.back().norm += std::pow(double{exact[i]}, 2);
      layers.back().tensors += std::pow(double{floats[i]} - exact[i], 2);
      layers.back().products += std::pow(double{int8[i]} - exact[i], 2);
    }
  }
  std::erase_if(layers, [](const LayerNoise& layer) { return layer.norm == 0; });
  return layers;
}

// The sizes that the steps of a run have, and the part of its budget that each has.
std::vector<std::pair<StepSize, double>> StepSizes(const TrainConfig& train) {
  constexpr int kParts = 24;
  std::vector<std::pair<StepSize, double>> sizes;
  Growth growth(train);
  for (int i = 0; i < kParts; ++i) {
    growth.Advance((i + 0.5) / kParts);
    if (sizes.empty() || sizes.back().first != growth.Size()) sizes.emplace_back(growth.Size(), 0);
    sizes.back().second += 1.0 / kParts;
  }
  return sizes;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

double SecondsPerToken(RunConfig config, double seconds) {
  ResolvePrecision(config.train);
  RandomTraining training(config, SessionType(config.train.precision));
  double tokens_per_second = 0;
  for (const auto& [size, share] : StepSizes(config.train)) {
    training.SetSize(size);
    training.Step();  // allocates
    std::vector<double> steps;
    for (const Stopwatch watch; steps.empty() || watch.Seconds() < share * seconds;) steps.push_back(training.Step());
    tokens_per_second += share * static_cast<double>(size.Tokens()) / Median(std::move(steps));
  }
  return 1 / tokens_per_second;
}

Json MeasureTraining(RunConfig config, const ThroughputOptions& options, std::string* table) {
  ResolvePrecision(config.train);
  const DType dtype = SessionType(config.train.precision);
  RandomTraining training(config, dtype);
  for (int i = 0; i < options.warmup_steps; ++i) training.Step();
  std::vector<double> seconds;
  seconds.reserve(static_cast<size_t>(options.steps));
  for (int s = 0; s < options.steps; ++s) seconds.push_back(training.Step());
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];

  training.step().SetProfiling(true);
  training.step().TakeOptimizerSeconds();
  const double profiled = training.Step();
  const std::vector<Row> rows = RowsOf(training.step().TakeProfile(), training.step().TakeOptimizerSeconds());
  const int64_t tokens = config.train.TokensPerStep();
  if (table != nullptr) *table = TableOf(rows, 1e3 * profiled, tokens);

  const DType products = training.step().products();
  const double peak = kernels::MeasureGemmPeak(products).gflops;
  const double rate = static_cast<double>(tokens) / median;
  Json json;
  json["preset"] = config.preset;
  json["recipe"] = config.recipe;
  json["tokens_per_s"] = rate;
  json["tokens_per_s_min"] = static_cast<double>(tokens) / seconds.back();
  json["tokens_per_s_max"] = static_cast<double>(tokens) / seconds.front();
  json["tokens_per_step"] = tokens;
  json["gemm_gflops_peak"] = peak;
  json["model_flops_per_token"] = training.model().TrainingFlopsPerToken();
  json["fraction_of_peak"] = rate * training.model().TrainingFlopsPerToken() / (peak * 1e9);
  json["peak_rss_mb"] = PeakRssMb();
  json["activations_mb"] = static_cast<double>(training.step().activation_bytes()) / 1048576.0;
  json["gradients_mb"] = static_cast<double>(training.step().gradient_bytes()) / 1048576.0;
  json["threads"] = ThreadCount();
  json["isa"] = kernels::NameOf(kernels::ActiveIsa());
  json["precision"] = NameOf(dtype);
  json["products"] = NameOf(products);
  json["cpu"] = kernels::CpuName();
  for (const Row& row : rows) {
    json["operations"].push_back(
        {{"name", row.name}, {"calls", row.calls}, {"forward_ms", row.forward_ms}, {"backward_ms", row.backward_ms}});
  }
  if (products != DType::kI8) return json;
  if (table != nullptr) {
    *table += fmt::format("\nchange of the gradient by int8 products ({} without them), relative to that of f32:\n",
                          NameOf(dtype));
  }
  for (const LayerNoise& layer : MeasureNoise(training, dtype)) {
    json["gradient_noise"].push_back(
        {{"layer", layer.layer}, {"int8", layer.OfProducts()}, {"without", layer.OfTensors()}});
    if (table != nullptr) {
      *table += fmt::format("{:<24}{:>8.4f} ({:.4f})\n", layer.layer, layer.OfProducts(), layer.OfTensors());
    }
  }
  return json;
}

SharedStep MeasureSharedStep(RunConfig config, int steps, Ranks* ranks) {
  config.train.cluster.sync_every = 1;
  std::optional<RandomTraining> training;
  Together(ranks, [&] {
    ResolvePrecision(config.train);
    training.emplace(config, SessionType(config.train.precision), ranks);
  });
  training->Step();  // allocates
  std::vector<double> whole, passes, optimizer, exchange;
  for (int i = 0; i < steps; ++i) {
    training->step().TakeOptimizerSeconds();
    training->step().TakeExchangeSeconds();
    whole.push_back(training->Step());
    optimizer.push_back(training->step().TakeOptimizerSeconds());
    exchange.push_back(training->step().TakeExchangeSeconds());
    passes.push_back(whole.back() - optimizer.back() - exchange.back());
  }
  SharedStep step;
  const TrainConfig& train = training->train();
  step.cost.leaves = train.accumulate * train.lanes;
  step.cost.side_by_side = train.lanes > 1 ? ThreadCount() : 1;
  step.cost.completed = training->Completed();
  const int members = ranks == nullptr ? 1 : ranks->size();
  const int own = ShareOf(step.cost.leaves, ranks == nullptr ? 0 : ranks->rank(), members).count();
  step.cost.passes = Median(std::move(passes)) * step.cost.leaves / own;
  step.cost.optimizer = Median(std::move(optimizer)) * members;
  step.cost.sequences = int64_t{train.accumulate} * train.micro_batch;
  step.cost.parameters = training->model().bank().size();
  step.cost.step_bytes = train.cluster.exchange == "bf16" ? 2 : 4;
  step.cost.difference_bytes = train.cluster.exchange == "bf16" ? 2 : train.cluster.exchange == "int8" ? 1 : 4;
  step.tokens = train.TokensPerStep();
  step.seconds = Median(std::move(whole));
  step.exchange_seconds = Median(std::move(exchange));
  return step;
}

}  // namespace flashlm
