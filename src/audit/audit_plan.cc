#include "audit/audit_plan.h"

#include <algorithm>
#include <limits>

#include "audit/audit_reading.h"
#include "audit/audit_training.h"
#include "base/error.h"
#include "base/fields.h"
#include "kernels/gemm/precision.h"
#include "train/run_machine.h"
#include "train/throughput.h"

namespace flashlm {
namespace {

constexpr int kFormat = 1;

// Of all switches: the slowest of the models.
constexpr Defects kAllDefects{true, true, true, true};

// Shares of a model's time for its random tokens and for reading; text has the rest. Reading every prefix anew costs
// as much as the published evaluations of 51,200 tokens did, so there are not more than those.
constexpr double kRandomShare = 0.15, kReadingShare = 0.2;
constexpr int kMostRandomSteps = 1200, kFewestRandomSteps = 200;
constexpr int kMostSequences = 400, kFewestSequences = 16;
constexpr int64_t kFewestSteps = 20;
constexpr double kSpare = 0.93;  // for what is not planned: opening, saving, reports

RunConfig SpeedConfig(const AuditedSizes& sizes, const TrainConfig& train, const OptimConfig& optim) {
  RunConfig config;
  config.model = MakeAuditedModel(sizes, kAllDefects, false)->config();
  config.train = train;
  config.optim = optim;
  return config;
}

}  // namespace

const std::vector<AuditCase>& AuditCases() {
  static const std::vector<AuditCase> cases = {
      {"correct", "correct", "", {}},
      {"future_memory", "memory reads the future", "", {.future_memory = true}},
      {"norm_over_time", "group norm over time", "v5", {.norm_over_time = true}},
      {"whole_planner", "planner hears the whole sequence", "v6 P-RCSM", {.whole_planner = true}},
      {"double_shift", "target two tokens ahead", "v8", {.double_shift = true}},
      {"future_memory_double_shift",
       "future memory, target two ahead",
       "v7.4, v7.5, v8.1 to v8.4",
       {.future_memory = true, .double_shift = true}},
      {"all", "all four together", "", kAllDefects}};
  return cases;
}

void AuditPlan::VisitFields(FieldVisitor& v) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  v.Text("data", data, {}, "folder; empty: the audit's own");
  v.Text("data_fingerprint", data_fingerprint, {}, "of what is in it");
  v.Int("vocab", vocab, 2, 65536, "of the data");
  v.Real("seconds", seconds, 0, 1e9, "asked for");
  v.Int64("steps", steps, 1, kMost, "of every model on text");
  v.Int("sequences", sequences, 1, 1 << 30, "that are scored");
  v.Int("random_steps", random_steps, 1, 1 << 30, "of every model on random tokens");
  v.Text("precision", precision, {"f32", "bf16"}, "of matrix products in training");
  v.Int("lanes", lanes, 1, 1024, "equal parts of a micro-batch that are passed side by side");
}

Json ToJson(const AuditPlan& plan) {
  Json json = {{"format", "flashlm-audit"}, {"version", kFormat}};
  json.update(FieldsToJson(plan));
  return json;
}

AuditPlan AuditPlanFromJson(const Json& json, const std::string& where) {
  if (!json.is_object() || json.value("format", "") != "flashlm-audit" || json.value("version", 0) != kFormat) {
    throw Error(fmt::format("'{}' is not of an audit that this version can go on with", where), "use another --out");
  }
  Json fields = json;
  fields.erase("format");
  fields.erase("version");
  AuditPlan plan;
  try {
    FieldsFromJson(fields, where, plan);
  } catch (const UsageError& e) {
    throw Error(fmt::format("'{}' is damaged: {}", where, e.what()), "use another --out");
  }
  return plan;
}

double FitIntoTime(double left, AuditPlan& plan) {
  plan.precision = NameOf(kernels::ComputeType("auto", kernels::Work::kTraining));
  TrainConfig text = TextTraining(plan);
  text.lanes = 0;
  ResolveLanes(*MakeAuditedModel(plan.Sizes(), kAllDefects, false), text);
  plan.lanes = text.lanes;
  const double per_token = SecondsPerToken(SpeedConfig(plan.Sizes(), text, TextOptimizer()), 0.6);
  const double per_random_token = SecondsPerToken(
      SpeedConfig(ToyTask::Sizes(), ToyTraining(ToyTask::kBatch, ToyTask::kLength), ToyOptimizer()), 0.2);
  const double per_read_token = SecondsPerReadToken(plan.Sizes(), kAllDefects);

  const double row = kSpare * left / static_cast<double>(AuditCases().size());
  const double random_step = per_random_token * ToyTask::kBatch * ToyTask::kLength;
  plan.random_steps =
      std::clamp(static_cast<int>(kRandomShare * row / random_step), kFewestRandomSteps, kMostRandomSteps);
  const double sequence = per_read_token * TokensToRead(AuditPlan::kLength);
  plan.sequences = std::clamp(static_cast<int>(kReadingShare * row / sequence), kFewestSequences, kMostSequences);
  const double others = random_step * (plan.random_steps + 0.5 * ToyTask::kCycleSteps) + sequence * plan.sequences;
  const double step = per_token * static_cast<double>(text.TokensPerStep());
  plan.steps = std::max(kFewestSteps, static_cast<int64_t>((row - others) / step));
  return (others + step * static_cast<double>(plan.steps)) * static_cast<double>(AuditCases().size()) / kSpare;
}

}  // namespace flashlm
