// What a run came to: results.json, and a row of a comparison. One list of fields is written by the trainer and read by
// whoever comes later; names that other programs' results have (final_ppl, tok_per_sec, time_min) are kept.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "base/fields.h"
#include "eval/evaluate.h"

namespace flashlm {

struct RunResult {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();  // null in JSON

  static constexpr int kCausalChanges = 16;  // tokens that the causality check changes

  // What was trained, and for how long.
  std::string model, architecture;
  int64_t params = 0;
  int64_t tokens = 0, steps = 0, skipped_steps = 0, subset_tokens = 0;
  double epochs = kUnknown;
  double seconds = kUnknown, seconds_evaluating = kUnknown, time_min = kUnknown, tok_per_sec = kUnknown;
  // The held-out text (train/validation.h): `measured_step` on the test part, the best on the way on the dev part.
  int64_t measured_step = 0;
  std::string val_part;
  double final_ppl = kUnknown, val_nats = kUnknown, val_bits_per_byte = kUnknown, val_bits_per_char = kUnknown;
  double stderr_bits_per_byte = kUnknown;
  int64_t tokens_evaluated = 0, documents_evaluated = 0;
  int64_t best_step = 0, dev_documents = 0;
  double best_ppl = kUnknown, best_bits_per_byte = kUnknown;
  // The average of weights in them (train/average.h), and the last step on the dev part with it and without.
  std::string average = "none";
  double averaged_bits_per_byte = kUnknown, raw_bits_per_byte = kUnknown;
  // What the figures mean: the target is the next token, and no later token changes an earlier prediction.
  int target_offset = 1;
  double causal_check_max_abs = kUnknown;
  int causal_check_tokens = 0;
  // How and where it ran.
  uint64_t seed = 1;
  std::string version, git_revision, cpu, isa, precision, products;
  int threads = 0;
  int ranks = 1, hosts = 1;  // that finished it
  double peak_rss_mb = kUnknown;

  // The fields that say how well the weights of `step` predict `part` of the held-out text.
  void SetEvaluation(const EvalResult& eval, int64_t step, const std::string& part);
  // The fields of the causality check, on a sequence of `length` tokens.
  void SetCausality(Model& model, DType dtype, int length);

  // All but `seed`, which has 64 bits without a sign.
  void VisitFields(FieldVisitor& v);
};

Json ToJson(const RunResult& result);
// Of results.json, also of an earlier version: what it lacks stays unknown. `where` names the file in errors.
RunResult RunResultFromJson(const Json& json, const std::string& where);

}  // namespace flashlm
