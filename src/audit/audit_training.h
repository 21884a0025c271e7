// The trainings of an audit: on text, in a folder, interrupted and resumed exactly; and the short ones on tokens of
// which the truth is known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/audit_plan.h"
#include "train/config.h"

namespace flashlm {

// Mean loss over a stretch of steps, in nats per token, and the last of these steps.
struct LossPoint {
  int64_t step = 0;
  double nats = 0;
};
Json ToJson(const std::vector<LossPoint>& curve);
std::vector<LossPoint> LossCurveFromJson(const Json& json);

// Of what the model is trained, in the way it is: with double_shift the targets are two tokens ahead.
struct TextRun {
  bool finished = false;  // false: interrupted, and saved
  std::unique_ptr<Model> model;
  int64_t tokens = 0;
  double seconds = 0;
  std::vector<LossPoint> curve;
};
// `folder`: of this model alone; what is begun there is gone on with. `place` begins the lines of progress.
TextRun TrainOnText(const AuditCase& one, const AuditPlan& plan, const std::string& data_folder,
                    const std::string& folder, const std::string& place);

struct RandomTokens {
  double nats = 0;  // mean of the last 50 steps
  int steps = 0;
  std::vector<LossPoint> curve;
};
// Uniformly random tokens, new ones in every step: whoever reports less than ln V has seen what he was to predict.
// Null if interrupted.
std::optional<RandomTokens> TrainOnRandomTokens(const Defects& defects, int steps, const std::string& place);

// Trained on 0, 1, ..., 15, 0, 1, ...: what it writes after 0 1 2 3. Null if interrupted.
std::optional<std::vector<int32_t>> CountOn(const Defects& defects, int count);

// How they train.
OptimConfig TextOptimizer();
TrainConfig TextTraining(const AuditPlan& plan);
OptimConfig ToyOptimizer();
TrainConfig ToyTraining(int batch, int length);

}  // namespace flashlm
