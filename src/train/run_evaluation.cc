#include <flashlm/version.h>

#include <algorithm>
#include <cmath>

#include "base/memory.h"
#include "base/parallel.h"
#include "eval/causality.h"
#include "infer/generate.h"
#include "kernels/isa.h"
#include "train/run.h"

namespace flashlm {
namespace {

constexpr int kEvaluationsPerBudget = 8;  // where train.eval_every is 0
constexpr int kDocumentsOfFinalEvaluation = 1000;
constexpr char kSamplePrompt[] = "Once upon a time";

}  // namespace

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
  results["version"] = Version();
  results["git_revision"] = Revision();
  results["cpu"] = kernels::CpuName();
  results["threads"] = ThreadCount();
  results["isa"] = kernels::NameOf(kernels::ActiveIsa());
  results["precision"] = NameOf(dtype_);
  results["peak_rss_mb"] = PeakRssMb();
  WriteFileAtomic(folder_ + "/results.json", results.dump(2) + "\n");
  return results;
}

}  // namespace flashlm
