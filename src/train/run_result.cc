#include "train/run_result.h"

#include <cmath>

#include "eval/causality.h"
#include "train/known_fields.h"

namespace flashlm {
namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();

void Count(FieldVisitor& v, const char* name, int64_t& value, const char* doc) {
  v.Int64(name, value, 0, std::numeric_limits<int64_t>::max(), doc);
}

void Number(FieldVisitor& v, const char* name, double& value, const char* doc) {
  v.Real(name, value, -kAny, kAny, doc);
}

}  // namespace

void RunResult::SetEvaluation(const EvalResult& eval, int64_t step, const std::string& part) {
  measured_step = step;
  val_part = part;
  final_ppl = std::exp(eval.nats_per_token());
  val_nats = eval.nats_per_token();
  val_bits_per_byte = eval.bits_per_byte();
  val_bits_per_char = eval.bits_per_char();
  stderr_bits_per_byte = eval.documents > 1 ? eval.stderr_bits_per_byte : kUnknown;
  tokens_evaluated = eval.tokens;
  documents_evaluated = eval.documents;
}

void RunResult::SetCausality(Model& model, DType dtype, int length) {
  causal_check_max_abs = CheckCausality(model, dtype, {.length = length, .changes = kCausalChanges}).leak;
  causal_check_tokens = length;
}

void RunResult::VisitFields(FieldVisitor& v) {
  v.Text("model", model, {}, "the preset");
  v.Text("architecture", architecture, {}, "of the model");
  Count(v, "params", params, "trained parameters");
  Number(v, "final_ppl", final_ppl, "perplexity per token on the test part: exp(val_nats)");
  Number(v, "best_ppl", best_ppl, "lowest perplexity per token of an evaluation on the way, on the dev part");
  Count(v, "tokens", tokens, "training tokens");
  Count(v, "steps", steps, "optimiser steps");
  Number(v, "time_min", time_min, "seconds / 60");
  Number(v, "tok_per_sec", tok_per_sec, "tokens / seconds");
  Count(v, "subset_tokens", subset_tokens, "tokens of the training data");
  Number(v, "epochs", epochs, "times that the training data was read");
  Count(v, "skipped_steps", skipped_steps, "steps dropped as not finite or for a spike");
  Number(v, "seconds", seconds, "spent on training steps");
  Number(v, "seconds_evaluating", seconds_evaluating, "spent on evaluations, samples and checks");
  Count(v, "measured_step", measured_step, "step of the weights that val_* are of");
  v.Text("val_part", val_part, {}, "documents that val_* are of: test (odd ones of valid.txt), all, or a file");
  Number(v, "val_nats", val_nats, "cross-entropy per token");
  Number(v, "val_bits_per_byte", val_bits_per_byte, "cross-entropy per byte of text");
  Number(v, "val_bits_per_char", val_bits_per_char, "cross-entropy per character of text");
  Number(v, "stderr", stderr_bits_per_byte, "standard error of val_bits_per_byte over documents");
  Count(v, "tokens_evaluated", tokens_evaluated, "tokens that val_* are means over");
  Count(v, "documents_evaluated", documents_evaluated, "documents that val_* are means over");
  Number(v, "best_bits_per_byte", best_bits_per_byte, "of `best`, on the dev part");
  Count(v, "best_step", best_step, "step of `best`");
  Count(v, "dev_documents", dev_documents, "documents of an evaluation on the way");
  v.Text("average", average, {}, "of late weights in those that were measured: train.average");
  Number(v, "averaged_bits_per_byte", averaged_bits_per_byte, "of the last step, with the average, on the dev part");
  Number(v, "raw_bits_per_byte", raw_bits_per_byte, "the same without the average");
  v.Int("target_offset", target_offset, 1, 1, "tokens ahead that is predicted");
  Number(v, "causal_check_max_abs", causal_check_max_abs,
         "largest change of a log-probability by a later token; must be 0");
  v.Int("causal_check_tokens", causal_check_tokens, 0, 1 << 30, "length of the sequence that was checked");
  v.Text("version", version, {}, "of FlashLM");
  v.Text("git_revision", git_revision, {}, "of the source");
  v.Text("cpu", cpu, {}, "that trained");
  v.Int("threads", threads, 0, 1 << 20, "compute threads, of each process");
  v.Int("ranks", ranks, 1, 1 << 20, "processes that shared it when it ended");
  v.Int("hosts", hosts, 1, 1 << 20, "machines that these ran on");
  v.Text("isa", isa, {}, "instruction set of the kernels");
  v.Text("precision", precision, {}, "of tensors, and of matrix products that are not in int8");
  v.Text("products", products, {}, "what matrix products of training read");
  Number(v, "peak_rss_mb", peak_rss_mb, "largest memory of the training process");
}

Json ToJson(const RunResult& result) {
  Json json = FieldsToJson(result);
  json["seed"] = result.seed;
  return json;
}

RunResult RunResultFromJson(const Json& json, const std::string& where) {
  RunResult result;
  KnownFieldsFromJson(json, where, result);
  if (json.contains("seed") && json["seed"].is_number_integer()) result.seed = json["seed"].get<uint64_t>();
  return result;
}

}  // namespace flashlm
