#include "train/run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "io/run_folder.h"
#include "kernels/isa.h"
#include "models/extras.h"
#include "train/run_machine.h"

namespace flashlm {
namespace {

constexpr int64_t kSkipsBeforeGivingUp = 25;

// "depth.3" is a part of "depth". Nats by depth are per token there, where there were any.
void AddParts(const ObjectiveParts& parts, Json& line) {
  for (const auto& [name, value] : parts.parts()) {
    const std::string text = name;
    const size_t dot = text.find('.');
    const std::string whole = text.substr(0, dot);
    if (dot == std::string::npos) {
      line[whole] = value;
    } else if (whole != "nats_at_depth" || value > 0) {  // 0: not measured in this step
      line[whole][text.substr(dot + 1)] = value;
    }
  }
  if (!line.contains("nats_by_depth")) return;
  Json& nats = line["nats_by_depth"];
  for (const auto& [depth, share] : line["depth"].items()) {
    nats[depth] = share > 0 ? Json(nats[depth].get<double>() / share.get<double>()) : Json();
  }
}

std::unique_ptr<Model> MakeForData(const RunConfig& config, const TokenData& data) {
  std::unique_ptr<Model> model = MakeModel(config.model, true);
  if (model->vocab() != data.vocab_size()) {
    throw UsageError(
        fmt::format("the model has a vocabulary of {}, the data in '{}' of {}", model->vocab(), config.data,
                    data.vocab_size()),
        fmt::format("add --set model.vocab={} or prepare the data with --vocab {}", data.vocab_size(), model->vocab()));
  }
  config.train.objective.Validate(model->config());
  return model;
}

}  // namespace

Run::Run(RunConfig config, const std::string& folder, FolderLock lock, const std::optional<OpenedCheckpoint>& from,
         RunHooks hooks, Ranks* ranks)
    : config_(std::move(config)),
      budget_(config_.CurrentBudget()),
      folder_(folder),
      lock_(std::move(lock)),
      hooks_(std::move(hooks)),
      ranks_(ranks),
      data_(config_.data, "train"),
      tokenizer_(Tokenizer::Load(config_.data + "/tokenizer.json")),
      tokenizer_json_(tokenizer_.ToJson()),
      validation_(config_.data),
      dtype_(SessionType(config_.train.precision)),
      amplification_(config_.train.amplification, folder_, config_.seed, dtype_),
      reading_(data_, config_.data, amplification_.stories(), config_.train.sequence_length, config_.seed,
               config_.train.shuffle == "documents" ? Shuffle::kDocuments : Shuffle::kChunks),
      model_(MakeForData(config_, data_)),
      step_(*model_, config_.optim, config_.train, dtype_, config_.seed, ranks),
      average_(config_.train.average, model_->bank()),
      growth_(config_.train),
      phases_(config_.phases, config_.train.objective, *model_),
      inputs_(static_cast<size_t>(growth_.MostTokens())),
      targets_(inputs_.size()) {
  data_.ExpectTokenizer(tokenizer_.Hash(), "tokenizer.json beside it");
  config_.model = model_->config();
  EnterPhase();
  if (from) {
    Restore(*from);
  } else if (Writes()) {
    model_->bank().Initialize(config_.seed);
    if (!config_.start.empty()) StartFrom(config_.start);
    WriteFileAtomic(folder_ + "/config.toml", ToToml(config_.ToJson()));
  }
  if (!from) reading_.Enter(Part(), 0);
  if (model_->ngram() != nullptr) CountNGrams(from ? from->config.value(kNGramChecksum, "") : "");
  if (Local()) outer_ = std::make_unique<OuterStep>(ranks_, config_.train.cluster, model_->bank());
  if (from) RestoreOuter(*from);
  if (Writes()) log_ = std::make_unique<RunLog>(folder_, progress_.step, hooks_.tensorboard);
}

void Run::Announce() const {
  const auto mb = [](int64_t floats) { return static_cast<double>(floats) * 4 / 1048576; };
  const int64_t size = model_->bank().size(), tables = model_->bank().TableCount();
  const int lanes = config_.train.lanes;
  Say(fmt::format("model: {} ({} parameters), {} matrix products, {} threads{}, {}", model_->architecture(),
                  model_->bank().ParameterCount(), NameOf(step_.products()), ThreadCount(),
                  lanes > 1 ? fmt::format(", {} lanes", lanes) : "", kernels::CpuName()));
  Say(fmt::format("data: {} tokens, {} sequences of {} an epoch; {} tokens a step",
                  FormatCount(static_cast<double>(data_.size())), reading_.SequencesPerEpoch(),
                  config_.train.sequence_length, growth_.Size().Tokens()));
  if (Local()) {
    const ClusterConfig& cluster = config_.train.cluster;
    Say(fmt::format("local steps: weights are exchanged every {} steps; outer step: rate {}, momentum {}",
                    cluster.sync_every, cluster.outer_lr, cluster.outer_momentum));
  }
  for (int i = 0; i < phases_.count(); ++i) {
    const Phase& phase = config_.phases[static_cast<size_t>(i)];
    const auto [low, high] = phase.difficulty;
    Say(fmt::format("phase {}{}: from {:.0f} % on{}{}{}{}", i + 1, phase.name.empty() ? "" : ", " + phase.name,
                    100 * phase.from, phase.freeze.empty() ? "" : ", without " + phase.freeze,
                    phase.depth < 0 ? "" : fmt::format(", depth {}", phase.depth),
                    low == 0 && high == 100 ? "" : fmt::format(", stories of difficulty {:g} to {:g} %", low, high),
                    phase.writes() ? ", source " + phase.source : ""));
  }
  const int64_t averaged = average_.state().size();
  Say(fmt::format("memory: parameters {:.0f} MB, gradients {:.0f} MB, optimiser {:.0f} MB, {}and activations",
                  mb(size + tables), mb(size * step_.GradientCopies(growth_.Size())),
                  mb(step_.optimizer().state().size()),
                  averaged > 0 ? fmt::format("average of weights {:.0f} MB, ", mb(averaged)) : ""));
  if (ranks_ != nullptr) {
    const int leaves = config_.train.accumulate * std::max(1, lanes);
    Say(fmt::format("cluster: {}, {} passes a step{}, {} travels", ranks_->Describe(), leaves,
                    leaves % ranks_->size() == 0 ? "" : ", shared unevenly: train.accumulate or train.lanes can help",
                    config_.train.cluster.exchange));
  }
  Say(fmt::format("budget: {}; run folder: {}{}", budget_.ToString(), folder_,
                  progress_.step > 0 ? fmt::format("; going on after step {}", progress_.step) : ""));
}

bool Run::Done() const {
  if (budget_.kind != "time") return Fraction() >= 1.0;
  // A step that would end beyond the budget by more than half is not started.
  return progress_.seconds + 0.5 * progress_.step_seconds >= budget_.amount;
}

bool Run::StopWantedHere() const { return Interrupted() || (hooks_.stop_requested && hooks_.stop_requested()); }

bool Run::StopWanted() const { return ranks_ == nullptr ? StopWantedHere() : stop_agreed_; }

// The schedule sees the middle of the step, so that a time budget ends near its final rate.
double Run::NextRate() const {
  const double middle = budget_.kind == "time" ? 0.5 * progress_.step_seconds : 0;
  return ScheduleFactor(config_.optim, config_.ScheduleFraction(progress_.seconds + middle, Tokens(), progress_.step));
}

bool Run::OneStep() {
  if (!WriteRound()) return false;
  const Stopwatch watch;
  const StepSize size = growth_.Size();
  const int64_t sequences = size.Tokens() / config_.train.sequence_length;
  int64_t* positions = positions_.empty() ? nullptr : positions_.data();
  reading_.Read(progress_.next_sequence, sequences, inputs_.data(), targets_.data(), positions);
  last_rate_ = NextRate();
  const double factor = last_rate_ * growth_.Rate();
  const int64_t micro_batches = progress_.next_sequence / config_.train.micro_batch;
  const StepOutcome outcome =
      step_.Run({progress_.step, micro_batches, size, factor, Fraction()}, inputs_.data(), targets_.data(), positions);
  ++progress_.step;
  progress_.next_sequence += sequences;
  if (!Synced()) {
    round_seconds_ += watch.Seconds();
    if (Writes()) LogStep(outcome, size, factor, watch.Seconds());
    GiveUpIfDiverged();
    Grow();
    return true;
  }
  if (outer_) MakeOuterStep(watch.Seconds());
  // After a round of local steps always: only then are there weights to take in.
  if (Writes()) average_.AfterStep(Local() ? 0 : progress_.step, ScheduleFraction());
  const double seconds = watch.Seconds();
  round_seconds_ += seconds;
  FinishStep(outcome, size, factor, seconds);
  return true;
}

// The clock of the first rank is that of all, which is why what follows from it comes first there.
void Run::FinishStep(const StepOutcome& outcome, const StepSize& size, double factor, double seconds) {
  double round = std::exchange(round_seconds_, 0.0);
  if (Writes()) {
    CountSeconds(round);
    LogStep(outcome, size, factor, seconds);
    GiveUpIfDiverged();
    Grow();
    PlanNext();
  }
  if (ranks_ != nullptr) Agree(round);
  if (!Writes()) {
    CountSeconds(round);
    GiveUpIfDiverged();
    Grow();
  }
}

void Run::CountSeconds(double seconds) {
  double& mean = progress_.step_seconds;
  mean = mean == 0 ? seconds : 0.9 * mean + 0.1 * seconds;
  progress_.seconds += seconds;
}

// Before a step rather than after one: a checkpoint lies between a step and what the next one begins with.
bool Run::WriteRound() {
  if (OwnShare() == 0 || !amplification_.Due(phases_.Part(Fraction()))) return true;
  round_ = amplification_.Round(*model_, tokenizer_, progress_.step + 1);
  if (!round_) return false;
  progress_.seconds += round_->seconds;
  reading_.Enter(Part(), progress_.next_sequence);
  Say(fmt::format("own stories before step {}: {}; {} in all", progress_.step + 1, round_->Describe(),
                  amplification_.stories().count()));
  return true;
}

// Between two steps, so that whether there is time for another one is asked of the next one's size.
void Run::Grow() {
  const StepSize before = growth_.Size();
  growth_.Advance(Fraction());
  if (phases_.Advance(Fraction())) {
    EnterPhase();
    amplification_.BeginPhase();
    reading_.Enter(Part(), progress_.next_sequence);
    const std::string& name = phases_.phase().name;
    Say(fmt::format("from step {} on: phase {} of {}{}", progress_.step + 1, phases_.number(), phases_.count(),
                    name.empty() ? "" : ", " + name));
  }
  const StepSize size = growth_.Size();
  if (size == before) return;
  progress_.step_seconds *= static_cast<double>(size.Tokens()) / static_cast<double>(before.Tokens());
  Say(fmt::format("from step {} on: {} tokens a step, sequences of {}", progress_.step + 1, size.Tokens(),
                  size.length));
}

void Run::EnterPhase() {
  if (phases_.empty()) return;
  step_.SetObjective(phases_.objective());
  step_.Freeze(phases_.frozen());
  if (phases_.depth() >= 0) model_->SetDepth(phases_.depth());
}

void Run::Log(const Json& line) {
  log_->Write(line);
  if (hooks_.on_line) hooks_.on_line(line, Fraction());
}

// Of the sequences of the phase, those that are of the model's own stories.
double Run::OwnShare() const {
  const double share = config_.train.amplification.share;
  if (phases_.empty() || !phases_.phase().writes() || share == 0) return 0;
  return phases_.phase().source == "own" ? 1 : share;
}

ReadingPart Run::Part() const {
  if (phases_.empty()) return {};
  const auto [low, high] = phases_.phase().difficulty;
  return {low, high, OwnShare()};
}

void Run::LogStep(const StepOutcome& outcome, const StepSize& size, double factor, double seconds) {
  const ObjectiveParts& parts = outcome.parts;
  const double rate = static_cast<double>(size.Tokens()) / seconds;
  const auto bytes_per_token = data_.meta().at("train").at("bytes").get<double>() / static_cast<double>(data_.size());
  const double bits_per_byte = parts.cross_entropy / std::log(2.0) / bytes_per_token;
  const char* verdict = outcome.verdict == StepOutcome::Verdict::kApplied     ? "applied"
                        : outcome.verdict == StepOutcome::Verdict::kNotFinite ? "skipped: not finite"
                                                                              : "skipped: spike";
  Json line;
  line["step"] = progress_.step;
  if (!phases_.empty()) line["phase"] = phases_.number();
  line["tokens"] = Tokens();
  line["step_tokens"] = size.Tokens();
  line["sequence_length"] = size.length;
  line["epoch"] = reading_.EpochOf(progress_.next_sequence);
  line["cross_entropy"] = parts.cross_entropy;
  line["bits_per_byte"] = bits_per_byte;
  AddParts(parts, line);
  for (const float share : model_->OperationShares()) line["operations"].push_back(std::round(1e4 * share) / 1e4);
  if (OwnShare() > 0) line["own_stories"] = amplification_.stories().count();
  if (ranks_ != nullptr) LogExchange(line);
  if (round_) line["own_round"] = std::exchange(round_, std::nullopt)->ToJson();
  line["grad_norm"] = outcome.gradient_norm;
  line["lr_factor"] = factor;
  line["lr"] = config_.optim.lr * factor;
  line["verdict"] = verdict;
  line["step_ms"] = 1e3 * seconds;
  line["tokens_per_s"] = rate;
  line["seconds"] = progress_.seconds;
  line["seconds_evaluating"] = progress_.seconds_evaluating;
  Log(line);
  if (outcome.verdict != StepOutcome::Verdict::kApplied) {
    Say(fmt::format("step {}: {} (gradient norm {:.3g}; {} skipped so far)", progress_.step, verdict,
                    outcome.gradient_norm, step_.state().skipped));
  }
  const double fraction = Fraction();
  const double left = fraction > 0 ? progress_.seconds * (1 - fraction) / fraction : 0;
  const std::string phase = phases_.empty() ? "" : fmt::format("  phase {}/{}", phases_.number(), phases_.count());
  const std::string text = fmt::format(
      "step {:>5}  {:>3.0f} %{}  loss {:.4f}  {:.3f} bits/byte  lr {:.2e}  norm {:.2f}  {:>6.0f} tok/s  left {}",
      progress_.step, 100 * fraction, phase, parts.cross_entropy, bits_per_byte, config_.optim.lr * factor,
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

TrainSummary Run::Stop() {
  if (!Writes()) return {false, progress_.step, Tokens(), {}};
  if (published_step_ != progress_.step) Publish(false);
  Say(fmt::format("interrupted; step {} is saved. Go on with: flashlm train --resume {}", progress_.step, folder_));
  return {false, progress_.step, Tokens(), {}};
}

std::optional<RunResult> Run::Reported() const {
  const std::string path = folder_ + "/results.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const RunResult results = RunResultFromJson(ReadJsonFile(path), path);
    return results.steps == progress_.step ? std::optional(results) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // damaged: measured again
  }
}

void Run::BeginRound() {
  round_step_ = progress_.step;
  round_fraction_ = Fraction();
}

bool Run::Passed(int every) const { return progress_.step / every > round_step_ / every; }

void Run::PlanNext() {
  plan_ = {};
  plan_.evaluate = EvaluationDue() && !Done() && EvaluationAffordable();
  plan_.sample = config_.train.sample_every > 0 && Passed(config_.train.sample_every);
  // What a longer budget would go on from is saved before the rate falls.
  plan_.publish = Passed(config_.train.checkpoint_every) || (!Done() && RateWasConstant() && NextRate() < kFullRate);
}

void Run::AfterStep() {
  if (!plan_.Any()) return;
  const Ranks::Busy busy(ranks_);
  const Plan plan = std::exchange(plan_, {});
  if (plan.evaluate) EvaluateAndPublish();
  if (plan.sample) Sample();
  if (plan.publish && published_step_ != progress_.step) Publish(false);
}

TrainSummary Run::Go() {
  if (ranks_ != nullptr) ShareStart();
  if (outer_) outer_->Begin();
  Announce();
  const int64_t first_step = progress_.step;
  BeginRound();
  while (!Done()) {
    if (StopWanted()) return Stop();
    if (round_step_ != progress_.step && Synced()) BeginRound();
    if (OneStep() && Synced()) AfterStep();
  }
  if (!Writes()) return {true, progress_.step, Tokens(), {}};
  const Ranks::Busy busy(ranks_);
  // However the last step came about, its model is evaluated and can become the best.
  if (progress_.evaluated_step != progress_.step) EvaluateAndPublish();
  if (StopWantedHere()) return Stop();
  // A finished run that is resumed keeps what was reported: the same model on another number of documents is no news.
  const std::optional<RunResult> reported = progress_.step == first_step ? Reported() : std::nullopt;
  TrainSummary summary{true, progress_.step, Tokens(), reported ? *reported : Results()};
  RemoveSuperseded(folder_);
  const RunResult& results = summary.results;
  Say(fmt::format(
      "done: {} steps, {} tokens ({:.2f} epochs) in {} of training and {} of evaluation, {:.0f} tok/s; "
      "{:.4f}{} bits/byte on {} held-out documents ({} part){}",
      results.steps, FormatCount(static_cast<double>(results.tokens)), results.epochs, FormatDuration(results.seconds),
      FormatDuration(results.seconds_evaluating), results.tok_per_sec, results.val_bits_per_byte,
      FormatError(results.stderr_bits_per_byte, 4), results.documents_evaluated, results.val_part,
      results.best_step <= 0 || results.best_step == results.steps
          ? ""
          : fmt::format("; the best, which eval and generate take, was step {}", results.best_step)));
  return summary;
}

}  // namespace flashlm
