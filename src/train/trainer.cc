#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "base/files.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "data/batches.h"
#include "data/documents.h"
#include "data/shards.h"
#include "eval/causality.h"
#include "eval/evaluate.h"
#include "infer/generate.h"
#include "infer/loaded_model.h"
#include "io/bank_files.h"
#include "io/checkpoint.h"
#include "io/run_folder.h"
#include "kernels/isa.h"
#include "models/model.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/throughput.h"

namespace flashlm {
namespace {

constexpr int kEvaluationsPerBudget = 8;  // where train.eval_every is 0
constexpr int kDocumentsOfFinalEvaluation = 1000;
constexpr int64_t kSkipsBeforeGivingUp = 25;
constexpr char kSamplePrompt[] = "Once upon a time";

// What trainer.json holds beside the configuration.
struct Progress {
  int64_t step = 0;               // steps done, skipped ones included
  double seconds = 0;             // spent training, over all sessions
  double best_bits_per_byte = 0;  // 0: not evaluated yet
  int64_t evaluations = 0;
};

class Run {
 public:
  Run(RunConfig config, const std::string& folder, const std::optional<OpenedCheckpoint>& from);
  TrainSummary Go();

 private:
  void Announce() const;
  int64_t Tokens() const { return progress_.step * config_.train.TokensPerStep(); }
  double Seconds() const { return progress_.seconds + (finished_ ? 0.0 : watch_.Seconds()); }
  double Fraction() const { return config_.budget.Fraction(Seconds(), Tokens(), progress_.step); }
  bool Done() const;
  void OneStep();
  void LogStep(const StepOutcome& outcome, double factor, double seconds);
  void GiveUpIfDiverged() const;
  bool EvaluationDue(double fraction_before) const;
  EvalResult EvaluateNow(size_t documents);
  void EvaluateAndPublish();
  void Publish(bool is_best);
  void Sample();
  Json TrainerState();
  Json Results();

  RunConfig config_;
  std::string folder_;
  FolderLock lock_;
  TokenData data_;
  Tokenizer tokenizer_;
  std::string tokenizer_json_;
  BatchReader reader_;
  std::string valid_text_;
  std::vector<std::string_view> valid_documents_;
  DType dtype_;
  std::unique_ptr<Model> model_;
  TrainingStep step_;
  Progress progress_;
  std::unique_ptr<RunLog> log_;
  std::vector<int32_t> inputs_, targets_;
  Stopwatch watch_;  // of this session
  bool finished_ = false;
  int64_t published_step_ = -1;
  double step_seconds_ = 0;  // running mean, for the last step of a time budget
  EvalResult last_eval_;
};

std::unique_ptr<Model> MakeForData(const RunConfig& config, const TokenData& data) {
  std::unique_ptr<Model> model = MakeModel(config.model, true);
  if (model->vocab() != data.vocab_size()) {
    throw UsageError(
        fmt::format("the model has a vocabulary of {}, the data in '{}' of {}", model->vocab(), config.data,
                    data.vocab_size()),
        fmt::format("add --set model.vocab={} or prepare the data with --vocab {}", data.vocab_size(), model->vocab()));
  }
  if (config.train.second_token_weight > 0 && !model->config().value("second_head", false)) {
    throw UsageError(
        fmt::format("train.second_token_weight = {}: the model has no second head", config.train.second_token_weight),
        "add --set model.second_head=true, if the architecture has that setting");
  }
  return model;
}

std::vector<std::string_view> DocumentsOf(std::string_view text) {
  std::vector<std::string_view> documents;
  ForEachDocument(text, [&](std::string_view document) { documents.push_back(document); });
  return documents;
}

Run::Run(RunConfig config, const std::string& folder, const std::optional<OpenedCheckpoint>& from)
    : config_(std::move(config)),
      folder_(folder),
      lock_(folder),
      data_(config_.data, "train"),
      tokenizer_(Tokenizer::Load(config_.data + "/tokenizer.json")),
      tokenizer_json_(tokenizer_.ToJson()),
      reader_(data_, config_.train.micro_batch * config_.train.accumulate, config_.train.sequence_length, config_.seed),
      valid_text_(ReadFile(config_.data + "/valid.txt")),
      valid_documents_(DocumentsOf(valid_text_)),
      dtype_(ComputeType(config_.train.precision)),
      model_(MakeForData(config_, data_)),
      step_(*model_, config_.optim, config_.train, dtype_, config_.seed),
      inputs_(static_cast<size_t>(config_.train.TokensPerStep())),
      targets_(inputs_.size()) {
  data_.ExpectTokenizer(tokenizer_.Hash(), "tokenizer.json beside it");
  config_.model = model_->config();
  if (from) {
    const Json& state = from->trainer_state;
    data_.ExpectTokenizer(state.at("tokenizer").get<std::string>(), "the run");
    LoadValues(from->model_path, model_->bank());
    LoadMoments(from->optimizer_path, model_->bank());
    model_->bank().Touch();
    progress_ = {state.at("step").get<int64_t>(), state.at("seconds").get<double>(),
                 state.at("best_bits_per_byte").get<double>(), state.at("evaluations").get<int64_t>()};
    step_.state() = {state.at("updates").get<int64_t>(), state.at("skipped").get<int64_t>(),
                     state.at("skipped_in_a_row").get<int64_t>(), state.at("mean_norm").get<double>()};
    published_step_ = progress_.step;
    if (state.at("cpu") != kernels::CpuName() || state.at("threads") != ThreadCount() ||
        state.at("isa") != kernels::NameOf(kernels::ActiveIsa()) || state.at("precision") != NameOf(dtype_)) {
      Say("note: this CPU, instruction set or number of threads differs from the run's; it goes on, but not bit for "
          "bit");
    }
  } else {
    model_->bank().Initialize(config_.seed);
    WriteFileAtomic(folder_ + "/config.toml", ToToml(config_.ToJson()));
  }
  log_ = std::make_unique<RunLog>(folder_, progress_.step);
}

void Run::Announce() const {
  const auto mb = [](int64_t floats) { return static_cast<double>(floats) * 4 / 1048576; };
  const int64_t size = model_->bank().size();
  Say(fmt::format("model: {} ({} parameters), {} matrix products, {} threads, {}", model_->architecture(),
                  model_->bank().ParameterCount(), NameOf(dtype_), ThreadCount(), kernels::CpuName()));
  Say(fmt::format("data: {} tokens, {} sequences of {} an epoch; {} tokens a step",
                  FormatCount(static_cast<double>(data_.size())), reader_.SequencesPerEpoch(),
                  config_.train.sequence_length, config_.train.TokensPerStep()));
  Say(fmt::format("memory: parameters {:.0f} MB, gradients {:.0f} MB, moments {:.0f} MB, and activations", mb(size),
                  mb(size), mb(2 * size)));
  Say(fmt::format("budget: {}; run folder: {}{}", config_.budget.ToString(), folder_,
                  progress_.step > 0 ? fmt::format("; going on after step {}", progress_.step) : ""));
}

bool Run::Done() const {
  if (config_.budget.kind != "time") return Fraction() >= 1.0;
  // A step that would end beyond the budget by more than half is not started.
  return Seconds() + 0.5 * step_seconds_ >= config_.budget.amount;
}

void Run::OneStep() {
  const Stopwatch watch;
  reader_.Read(progress_.step, inputs_.data(), targets_.data());
  // The schedule sees the middle of the step, so that a time budget ends near its final rate.
  const double fraction =
      config_.budget.kind == "time" ? config_.budget.Fraction(Seconds() + 0.5 * step_seconds_, 0, 0) : Fraction();
  const double factor = ScheduleFactor(config_.optim, fraction);
  const StepOutcome outcome = step_.Run(progress_.step, inputs_.data(), targets_.data(), factor, fraction);
  ++progress_.step;
  const double seconds = watch.Seconds();
  step_seconds_ = step_seconds_ == 0 ? seconds : 0.9 * step_seconds_ + 0.1 * seconds;
  LogStep(outcome, factor, seconds);
  GiveUpIfDiverged();
}

void Run::LogStep(const StepOutcome& outcome, double factor, double seconds) {
  const ObjectiveParts& parts = outcome.parts;
  const double rate = static_cast<double>(config_.train.TokensPerStep()) / seconds;
  const auto bytes_per_token = data_.meta().at("train").at("bytes").get<double>() / static_cast<double>(data_.size());
  const double bits_per_byte = parts.cross_entropy / std::log(2.0) / bytes_per_token;
  const char* verdict = outcome.verdict == StepOutcome::Verdict::kApplied     ? "applied"
                        : outcome.verdict == StepOutcome::Verdict::kNotFinite ? "skipped: not finite"
                                                                              : "skipped: spike";
  Json line;
  line["step"] = progress_.step;
  line["tokens"] = Tokens();
  line["epoch"] = reader_.EpochOf(progress_.step * reader_.batch());
  line["cross_entropy"] = parts.cross_entropy;
  line["bits_per_byte"] = bits_per_byte;
  line["entropy"] = parts.entropy;
  line["value_loss"] = parts.value_loss;
  line["value_correlation"] = parts.value_correlation;
  line["auxiliary"] = parts.auxiliary;
  if (config_.train.unlikelihood_weight > 0) line["unlikelihood"] = parts.unlikelihood;
  if (config_.train.second_token_weight > 0) line["second_token"] = parts.second_token;  // 0 while its weight is 0
  line["grad_norm"] = outcome.gradient_norm;
  line["lr_factor"] = factor;
  line["lr"] = config_.optim.lr * factor;
  line["verdict"] = verdict;
  line["step_ms"] = 1e3 * seconds;
  line["tokens_per_s"] = rate;
  log_->Write(line);
  if (outcome.verdict != StepOutcome::Verdict::kApplied) {
    Say(fmt::format("step {}: {} (gradient norm {:.3g}; {} skipped so far)", progress_.step, verdict,
                    outcome.gradient_norm, step_.state().skipped));
  }
  const double fraction = Fraction();
  const double left = fraction > 0 ? Seconds() * (1 - fraction) / fraction : 0;
  const std::string text = fmt::format(
      "step {:>5}  {:>3.0f} %  loss {:.4f}  {:.3f} bits/byte  lr {:.2e}  norm {:.2f}  {:>6.0f} tok/s  left {}",
      progress_.step, 100 * fraction, parts.cross_entropy, bits_per_byte, config_.optim.lr * factor,
      outcome.gradient_norm, rate, FormatDuration(left));
  if (progress_.step % config_.train.log_every == 0 || progress_.step == 1) {
    Say(text);
  } else {
    ShowStatus(text);
  }
}

void Run::GiveUpIfDiverged() const {
  if (step_.state().skipped_in_a_row >= kSkipsBeforeGivingUp) {
    throw Error(fmt::format("{} steps in a row were not finite or spiked; stopped at step {}", kSkipsBeforeGivingUp,
                            progress_.step),
                "lower optim.lr; the last checkpoint is from before");
  }
}

bool Run::EvaluationDue(double fraction_before) const {
  if (config_.train.eval_every > 0) return progress_.step % config_.train.eval_every == 0;
  return std::floor(Fraction() * kEvaluationsPerBudget) > std::floor(fraction_before * kEvaluationsPerBudget);
}

EvalResult Run::EvaluateNow(size_t documents) {
  return Evaluate(*model_, dtype_, tokenizer_,
                  std::span(valid_documents_).first(std::min(documents, valid_documents_.size())));
}

void Run::EvaluateAndPublish() {
  last_eval_ = EvaluateNow(static_cast<size_t>(config_.train.eval_documents));
  ++progress_.evaluations;
  const double now = last_eval_.bits_per_byte();
  const bool is_best = progress_.best_bits_per_byte == 0 || now < progress_.best_bits_per_byte;
  if (is_best) progress_.best_bits_per_byte = now;
  Json line;
  line["eval_step"] = progress_.step;
  line["tokens"] = Tokens();
  line["eval"] = ToJson(last_eval_);
  log_->Write(line);
  Say(fmt::format("evaluation at step {}: {:.4f} ± {:.4f} bits/byte on {} documents{}", progress_.step, now,
                  last_eval_.stderr_bits_per_byte, last_eval_.documents, is_best ? " (best)" : ""));
  if (config_.train.sample_every == 0) Sample();
  Publish(is_best);
}

void Run::Sample() {
  Session session(*model_, dtype_);
  GenerateOptions options;
  options.max_tokens = 60;
  options.sampler.seed = static_cast<int64_t>(config_.seed);
  const Generation generation = Generate(session, tokenizer_, kSamplePrompt, options, {});
  log_->WriteSample(fmt::format("step {}", progress_.step), kSamplePrompt + generation.text);
  Say(fmt::format("  | {}{}", kSamplePrompt, generation.text));
}

Json Run::TrainerState() {
  const StepState& guard = step_.state();
  Json state;
  state["run"] = config_.ToJson();
  state["step"] = progress_.step;
  state["tokens"] = Tokens();
  state["next_sequence"] = progress_.step * reader_.batch();
  state["seconds"] = Seconds();
  state["evaluations"] = progress_.evaluations;
  state["best_bits_per_byte"] = progress_.best_bits_per_byte;
  state["updates"] = guard.updates;
  state["skipped"] = guard.skipped;
  state["skipped_in_a_row"] = guard.skipped_in_a_row;
  state["mean_norm"] = guard.mean_norm;
  state["tokenizer"] = tokenizer_.Hash();
  state["cpu"] = kernels::CpuName();
  state["isa"] = kernels::NameOf(kernels::ActiveIsa());
  state["threads"] = ThreadCount();
  state["precision"] = NameOf(dtype_);
  return state;
}

void Run::Publish(bool is_best) {
  PublishCheckpoint(folder_, progress_.step, {model_->config(), model_->bank(), tokenizer_json_, TrainerState()},
                    is_best, config_.train.keep_checkpoints);
  published_step_ = progress_.step;
}

Json Run::Results() {
  const EvalResult eval = EvaluateNow(kDocumentsOfFinalEvaluation);
  CausalityOptions options;
  options.length = 24;
  const CausalityReport causality = CheckCausality(*model_, dtype_, options);
  Json results;
  results["model"] = config_.preset;
  results["architecture"] = model_->architecture();
  results["params"] = model_->bank().ParameterCount();
  results["final_ppl"] = std::exp(eval.nats_per_token());
  results["tokens"] = Tokens();
  results["steps"] = progress_.step;
  results["time_min"] = Seconds() / 60;
  results["tok_per_sec"] = static_cast<double>(Tokens()) / Seconds();
  results["epochs"] = reader_.EpochOf(progress_.step * reader_.batch());
  results["skipped_steps"] = step_.state().skipped;
  results["val_nats"] = eval.nats_per_token();
  results["val_bits_per_byte"] = eval.bits_per_byte();
  results["val_bits_per_char"] = eval.bits_per_char();
  results["stderr"] = eval.stderr_bits_per_byte;
  results["tokens_evaluated"] = eval.tokens;
  results["documents_evaluated"] = eval.documents;
  results["best_bits_per_byte_on_the_way"] = progress_.best_bits_per_byte;
  results["target_offset"] = 1;
  results["causal_check_max_abs"] = causality.leak;
  results["seed"] = config_.seed;
  results["version"] = FLASHLM_VERSION;
  results["git_revision"] = FLASHLM_REVISION;
  results["cpu"] = kernels::CpuName();
  results["threads"] = ThreadCount();
  results["isa"] = kernels::NameOf(kernels::ActiveIsa());
  results["precision"] = NameOf(dtype_);
  results["peak_rss_mb"] = PeakRssMb();
  WriteFileAtomic(folder_ + "/results.json", results.dump(2) + "\n");
  return results;
}

TrainSummary Run::Go() {
  Announce();
  watch_.Restart();
  while (!Done()) {
    if (Interrupted()) {
      if (published_step_ != progress_.step) Publish(false);
      Say(fmt::format("interrupted; step {} is saved. Go on with: flashlm train --resume {}", progress_.step, folder_));
      return {false, progress_.step, Tokens(), {}};
    }
    const double fraction_before = Fraction();
    OneStep();
    if (EvaluationDue(fraction_before) && !Done()) EvaluateAndPublish();
    if (config_.train.sample_every > 0 && progress_.step % config_.train.sample_every == 0) Sample();
    if (progress_.step % config_.train.checkpoint_every == 0 && published_step_ != progress_.step) Publish(false);
  }
  progress_.seconds = Seconds();  // the final evaluation is not training
  finished_ = true;
  if (published_step_ != progress_.step) EvaluateAndPublish();
  TrainSummary summary{true, progress_.step, Tokens(), Results()};
  Say(
      fmt::format("done: {} steps, {} tokens ({:.2f} epochs) in {}, {:.0f} tok/s; {:.4f} ± {:.4f} bits/byte on {} "
                  "held-out documents",
                  progress_.step, FormatCount(static_cast<double>(Tokens())),
                  reader_.EpochOf(progress_.step * reader_.batch()), FormatDuration(Seconds()),
                  summary.results["tok_per_sec"].get<double>(), summary.results["val_bits_per_byte"].get<double>(),
                  summary.results["stderr"].get<double>(), summary.results["documents_evaluated"].get<int64_t>()));
  return summary;
}

void RefuseDisagreementBelow(const std::string& path, const Json& expected, const Json& actual,
                             const std::string& folder) {
  if (expected.is_null()) return;
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      RefuseDisagreementBelow(path.empty() ? key : path + "." + key, value, actual.contains(key) ? actual[key] : Json(),
                              folder);
    }
    return;
  }
  const bool equal_numbers =
      expected.is_number() && actual.is_number() && expected.get<double>() == actual.get<double>();
  if (expected != actual && !equal_numbers) {
    throw UsageError(fmt::format("{} = {} does not agree with the run in '{}', which has {}", path, expected.dump(),
                                 folder, actual.dump()),
                     "leave it out to go on as the run was, or start another run with another --out");
  }
}

}  // namespace

void RefuseDisagreement(const Json& expected, const Json& actual, const std::string& folder) {
  RefuseDisagreementBelow("", expected, actual, folder);
}

void TakeVocabularyOfData(RunConfig& config) {
  const Json meta = ReadDataMeta(config.data);
  const Json::json_pointer path("/tokenizer/vocab_size");
  if (meta.contains(path)) config.model["vocab"] = meta[path];  // else opening the data says what it lacks
}

TrainSummary Train(RunConfig config, const std::string& run_folder) {
  if (std::filesystem::exists(run_folder + "/config.toml") || std::filesystem::exists(run_folder + "/checkpoints")) {
    throw UsageError(fmt::format("'{}' already holds a run", run_folder),
                     fmt::format("go on with --resume {}, or choose another --out", run_folder));
  }
  MakeModel(config.model, false);  // a wrong configuration is refused before anything is written
  MakeFolder(run_folder);
  return Run(std::move(config), run_folder, std::nullopt).Go();
}

namespace {

// config.toml is for people to read; an edit that would be ignored silently is refused.
void RefuseEditedConfig(const std::string& path, const RunConfig& config) {
  const char* hint = "put it back; a change needs a run of its own, with another --out";
  try {
    RefuseDisagreement(RunConfig::FromJson(ParseToml(ReadFile(path), path)).ToJson(), config.ToJson(), "checkpoints");
  } catch (const UsageError& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), hint);
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), hint);
  }
}

}  // namespace

TrainSummary Resume(const std::string& run_folder, const Json& expected) {
  const std::string config_path = run_folder + "/config.toml";
  if (!std::filesystem::exists(config_path)) {
    throw Error(fmt::format("'{}' holds no run to resume", run_folder), "start one with --preset, --data and --out");
  }
  if (ListStepFolders(run_folder).empty()) {
    // Stopped before its first checkpoint: it starts again, from the same seed.
    RunConfig config = RunConfig::FromJson(ParseToml(ReadFile(config_path), config_path));
    RefuseDisagreement(expected, config.ToJson(), run_folder);
    return Run(std::move(config), run_folder, std::nullopt).Go();
  }
  const OpenedCheckpoint checkpoint = OpenCheckpoint(run_folder, OpenFor::kResume);
  RunConfig config = RunConfig::FromJson(checkpoint.trainer_state.at("run"));
  RefuseDisagreement(expected, config.ToJson(), run_folder);
  RefuseEditedConfig(config_path, config);
  return Run(std::move(config), run_folder, checkpoint).Go();
}

}  // namespace flashlm
