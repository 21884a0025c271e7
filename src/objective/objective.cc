#include "objective/objective.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "models/predict.h"

namespace flashlm {
namespace {

double MeanWeight(const Tensor& gates) {
  double sum = 0;
  for (int n = 0; n < gates.rows; ++n) sum += 1 / (1 + std::exp(-*gates.matrix().Row<float>(n)));
  return sum / gates.rows;
}

void AddDepths(const int32_t* depths, const float* nats, int rows, ObjectiveParts& parts) {
  static constexpr const char* kTokens[] = {"depth.1", "depth.3", "depth.8"};
  static constexpr const char* kNats[] = {"nats_by_depth.1", "nats_by_depth.3", "nats_by_depth.8"};
  std::array<double, kernels::kDepthChoices> count{}, sum{};
  for (int n = 0; n < rows; ++n) {
    for (size_t d = 0; d < count.size(); ++d) {
      if (depths[n] != kernels::kReasoningDepths[d]) continue;
      count[d] += 1;
      sum[d] += nats[n];
    }
  }
  for (size_t d = 0; d < count.size(); ++d) parts.Append(kTokens[d]) = count[d] / rows;
  for (size_t d = 0; d < count.size(); ++d) parts.Append(kNats[d]) = sum[d] / rows;
}

}  // namespace

double ObjectiveParts::operator[](std::string_view name) const {
  for (const Part& part : parts()) {
    if (part.name == name) return part.value;
  }
  return 0;
}

double& ObjectiveParts::Append(const char* name) {
  FLASHLM_CHECK(count_ < kMaxParts, "more than {} parts of an objective", kMaxParts);
  parts_[count_] = {name, 0};
  return parts_[count_++].value;
}

void ObjectiveParts::AddShare(const ObjectiveParts& part, int micro_batches) {
  cross_entropy += part.cross_entropy / micro_batches;
  total += part.total / micro_batches;
  for (size_t i = 0; i < part.count_; ++i) {
    if (i == count_) Append(part.parts_[i].name);
    parts_[i].value += part.parts_[i].value / micro_batches;
  }
}

void Objective::Validate(const Json& model) const {
  for (const auto& term : terms_) term.object->Validate(model);
}

void Objective::RefuseIdle(const std::vector<std::string>& keys, const Json& model) const {
  for (const auto& term : terms_) {
    const std::string lacking = term.object->Lacks(model);
    if (lacking.empty()) continue;
    const Json settings = FieldsToJson(*term.object);
    for (const std::string& key : keys) {
      if (!settings.contains(key)) continue;
      throw UsageError(fmt::format("train.{}: the model has no {}", key, lacking),
                       "it would change nothing; leave it out, or choose a model that has");
    }
  }
}

bool Objective::MeasuresDepths(int64_t step, double fraction) const {
  return std::any_of(terms_.begin(), terms_.end(), [&](const auto& term) {
    return term.object->MeasuresDepths() && term.object->Weight(step, fraction) != 0;
  });
}

ObjectiveParts Objective::Add(Tape& tape, const Prediction& prediction, const int32_t* tokens, const int32_t* targets,
                              int64_t step, double fraction, int micro_batches) const {
  return Add(tape, prediction, Pass{tokens, targets, step, fraction, micro_batches});
}

ObjectiveParts Objective::Add(Tape& tape, const Prediction& prediction, const Pass& pass) const {
  const auto& [tokens, targets, step, fraction, micro_batches, depth_nats, measured] = pass;
  const int rows = tape.rows();
  const TermInputs inputs{prediction, tokens, targets, 1.0 / micro_batches, depth_nats, measured};
  CrossEntropyConfig config{.scale = inputs.share / rows, .opinion_joint = ngram_joint_};
  for (const auto& term : terms_) {
    const double weight = term.object->Weight(step, fraction);
    if (weight != 0) term.object->Fuse(tape, inputs, weight, config);
  }
  const CrossEntropyResult next = NextTokenLoss(tape, prediction, targets, config);
  ObjectiveParts parts;
  parts.cross_entropy = MeanOf(next.nats, rows, rows);
  parts.total = parts.cross_entropy;
  parts.Append("entropy") = MeanOf(next.entropies, rows, rows);
  if (prediction.ngram.model != nullptr) parts.Append("ngram_weight") = MeanWeight(prediction.ngram.gates);
  if (prediction.reasoned.depths != nullptr) AddDepths(prediction.reasoned.depths, next.nats, rows, parts);
  for (const auto& term : terms_) {
    const double weight = term.object->Weight(step, fraction);
    const std::span<const char* const> names = term.object->Parts();
    std::array<double, ObjectiveParts::kMaxParts> values{};
    const std::span<double> room(values.data(), std::min(names.size(), values.size()));
    if (weight != 0) parts.total += weight * term.object->Add(tape, inputs, next, weight, room);
    for (size_t i = 0; i < names.size(); ++i) parts.Append(names[i]) = values[i];
  }
  return parts;
}

}  // namespace flashlm
