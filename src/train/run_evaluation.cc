#include <flashlm/version.h>

#include <algorithm>
#include <cmath>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "infer/describe.h"
#include "infer/generate.h"
#include "kernels/isa.h"
#include "train/run.h"

namespace flashlm {
namespace {

constexpr double kEvaluationsPerBudget = 8;  // where train.eval_every is 0
constexpr size_t kDocumentsOfResult = 1000;
constexpr char kSamplePrompt[] = "Once upon a time";

// Adds the time that it lives to one of the run's clocks.
class Timed {
 public:
  explicit Timed(double& clock) : clock_(clock) {}
  ~Timed() { clock_ += watch_.Seconds(); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  double& clock_;
  Stopwatch watch_;
};

}  // namespace

EvaluationTime Run::TimeForEvaluations() const {
  const double fraction = Fraction();
  const double whole = budget_.kind == "time" ? budget_.amount : fraction > 0 ? progress_.seconds / fraction : 0;
  return {config_.train.eval_share, whole};
}

double Run::EvaluationsInBudget() const {
  if (config_.train.eval_every == 0) return kEvaluationsPerBudget;
  return static_cast<double>(progress_.step) / std::max(1e-9, Fraction()) / config_.train.eval_every;
}

bool Run::EvaluationDue() const {
  if (config_.train.eval_every > 0) return Passed(config_.train.eval_every);
  return std::floor(Fraction() * kEvaluationsPerBudget) > std::floor(round_fraction_ * kEvaluationsPerBudget);
}

// Where evaluations are slow there are fewer of them.
bool Run::EvaluationAffordable() const {
  if (TimeForEvaluations().Allows(Fraction(), EvaluationsInBudget(), progress_.seconds_evaluating,
                                  progress_.evaluation_seconds)) {
    return true;
  }
  ShowStatus(fmt::format("evaluation at step {} left out: train.eval_share = {} is used up", progress_.step,
                         config_.train.eval_share));
  return false;
}

// It takes as much memory as the passes of a step, which are not needed meanwhile.
EvalResult Run::EvaluateOn(std::span<const std::string_view> documents, const EvalOptions& options) {
  step_.GiveBackMemory();
  return Evaluate(*model_, dtype_, tokenizer_, documents, options);
}

// All evaluations of a run read the same documents, or the best of them would be the one with the easiest: the first
// one finds out how many there is time for.
EvalResult Run::EvaluateDev() {
  const std::span<const std::string_view> dev = validation_.dev();
  EvalOptions options;
  auto documents = static_cast<size_t>(progress_.dev_documents);
  if (documents == 0) {
    documents = static_cast<size_t>(config_.train.eval_documents);
    const EvaluationTime time = TimeForEvaluations();
    options.seconds = Done() ? time.OnTheWay() : time.Each(EvaluationsInBudget());
  }
  EvalResult result = EvaluateOn(dev.first(std::min(documents, dev.size())), options);
  progress_.dev_documents = result.documents;
  return result;
}

EvalResult Run::EvaluateBlend() {
  const WeightAverage::Blend blend(average_);
  return EvaluateDev();
}

// What the average of weights has gained, or lost.
void Run::CompareWithRaw(double averaged, Json& line) {
  const EvalResult raw = EvaluateDev();
  progress_.averaged_bits_per_byte = averaged;
  progress_.raw_bits_per_byte = raw.bits_per_byte();
  line["eval_raw"] = ToJson(raw);
  Say(fmt::format("average of weights: {:.4f} bits/byte, {:.4f} without", averaged, raw.bits_per_byte()));
}

void Run::EvaluateAndPublish() {
  const double before = progress_.seconds_evaluating;
  bool is_best = false;
  {
    const Timed timed(progress_.seconds_evaluating);
    const EvalResult result = EvaluateBlend();
    ++progress_.evaluations;
    progress_.evaluated_step = progress_.step;
    const double now = result.bits_per_byte();
    is_best = std::isfinite(now) && (progress_.best_step < 0 || now < progress_.best_bits_per_byte);
    if (is_best) {
      progress_.best_step = progress_.step;
      progress_.best_bits_per_byte = now;
      progress_.best_nats = result.nats_per_token();
    }
    Json line;
    line["eval_step"] = progress_.step;
    if (!phases_.empty()) line["phase"] = phases_.number();
    line["tokens"] = Tokens();
    line["part"] = "dev";
    line["eval"] = ToJson(result);
    if (const Json fractions = TernaryFractions(model_->bank()); !fractions.is_null()) {
      line["ternary_fractions"] = {{"minus", fractions[0]}, {"zero", fractions[1]}, {"plus", fractions[2]}};
    }
    if (average_.begun() && Done()) CompareWithRaw(now, line);
    line["seconds"] = progress_.seconds;
    line["seconds_evaluating"] = before + result.seconds;
    Log(line);
    Say(fmt::format("evaluation at step {}: {:.4f}{} bits/byte on {} documents (dev part){}", progress_.step, now,
                    FormatError(result.stderr_bits_per_byte, 4), result.documents, is_best ? " (best)" : ""));
  }
  if (config_.train.sample_every == 0) Sample();
  progress_.evaluation_seconds = progress_.seconds_evaluating - before;
  Publish(is_best);
}

void Run::Sample() {
  const Timed timed(progress_.seconds_evaluating);
  const WeightAverage::Blend blend(average_);
  Session session(*model_, dtype_);
  GenerateOptions options;
  options.max_tokens = 60;
  options.sampler.seed = static_cast<int64_t>(config_.seed);
  const Generation generation = Generate(session, tokenizer_, kSamplePrompt, options, {});
  log_->WriteSample(progress_.step, kSamplePrompt + generation.text);
  Say(fmt::format("  | {}{}", kSamplePrompt, generation.text));
}

// A leak may begin only behind a window or at the edge of a block, so the sequence is as long as those of training,
// shorter only where the model is so slow that the time does not allow it.
void Run::CheckCausal(double tokens_per_s, double seconds, RunResult& results) {
  constexpr int kLongest = 512, kShortest = 64;
  constexpr double kPasses = RunResult::kCausalChanges + 18;  // as often the check reads the sequence
  const int affordable = static_cast<int>(std::min<double>(kLongest, tokens_per_s * seconds / kPasses));
  results.SetCausality(*model_, dtype_, std::min(config_.train.sequence_length, std::max(kShortest, affordable)));
}

RunResult Run::Results() {
  RunResult results;
  {
    const Timed timed(progress_.seconds_evaluating);
    const WeightAverage::Blend blend(average_);
    const double seconds = TimeForEvaluations().Reported();
    EvalOptions options;
    options.seconds = 0.75 * seconds;
    const std::span<const std::string_view> test = validation_.test();
    const EvalResult eval = EvaluateOn(test.first(std::min(kDocumentsOfResult, test.size())), options);
    results.SetEvaluation(eval, progress_.step, validation_.test_name());
    CheckCausal(static_cast<double>(eval.tokens) / eval.seconds, 0.25 * seconds, results);
  }
  results.model = config_.preset;
  results.architecture = model_->architecture();
  results.params = model_->bank().ParameterCount();
  results.tokens = Tokens();
  results.steps = progress_.step;
  results.skipped_steps = step_.state().skipped;
  results.subset_tokens = data_.size();
  results.epochs = reading_.EpochOf(progress_.next_sequence);
  results.seconds = progress_.seconds;
  results.seconds_evaluating = progress_.seconds_evaluating;
  results.time_min = progress_.seconds / 60;
  results.tok_per_sec = static_cast<double>(Tokens()) / progress_.seconds;
  if (progress_.best_step >= 0) {
    results.best_step = progress_.best_step;
    results.best_bits_per_byte = progress_.best_bits_per_byte;
    results.best_ppl = std::exp(progress_.best_nats);
  }
  results.dev_documents = progress_.dev_documents;
  results.average = config_.train.average.kind;
  if (average_.begun()) {
    results.averaged_bits_per_byte = progress_.averaged_bits_per_byte;
    results.raw_bits_per_byte = progress_.raw_bits_per_byte;
  }
  results.seed = config_.seed;
  results.version = Version();
  results.git_revision = Revision();
  results.cpu = kernels::CpuName();
  results.threads = ThreadCount();
  results.ranks = ranks_ == nullptr ? 1 : ranks_->size();
  results.hosts = ranks_ == nullptr ? 1 : ranks_->HostCount();
  results.isa = kernels::NameOf(kernels::ActiveIsa());
  results.precision = NameOf(dtype_);
  results.products = NameOf(step_.products());
  results.peak_rss_mb = PeakRssMb();
  WriteFileAtomic(folder_ + "/results.json", ToJson(results).dump(2) + "\n");
  return results;
}

}  // namespace flashlm
