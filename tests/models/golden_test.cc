// Golden parity (invariant 6): logits, values, every gradient and ten training losses of small states that an
// independent PyTorch implementation made (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "autograd/ops.h"
#include "io/bank_files.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "train/step.h"

namespace flashlm {
namespace {

// Every state beside this test's source; a new one needs no line here.
std::vector<std::string> States() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(std::string(FLASHLM_SOURCE_DIR) + "/tests/golden")) {
    if (file.path().extension() == ".safetensors") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  GoldenTest() : file_(std::string(FLASHLM_SOURCE_DIR) + "/tests/golden/" + GetParam() + ".safetensors") {
    config_ = ParseJson(file_.metadata().at("config"), "golden");
    objective_ = config_.at("objective");
    Json model = config_;
    model.erase("objective");
    model_ = MakeModel(model, true);
    for (const ParamInfo& info : model_->bank().infos()) {
      file_.Read("param." + info.name, model_->bank().values() + info.offset, info.shape);
    }
    model_->bank().Touch();
    const std::vector<int> shape = file_.Shape("tokens");  // [B,T+1]
    batch_ = shape[0];
    length_ = shape[1] - 1;
    std::vector<int32_t> tokens(static_cast<size_t>(shape[0] * shape[1]));
    file_.ReadInts("tokens", tokens.data(), shape);
    for (int b = 0; b < batch_; ++b) {
      const int32_t* row = tokens.data() + b * shape[1];
      inputs_.insert(inputs_.end(), row, row + length_);
      targets_.insert(targets_.end(), row + 1, row + 1 + length_);
    }
  }

  std::vector<float> Read(const std::string& name) {
    const std::vector<int> shape = file_.Shape(name);
    size_t size = 1;
    for (int n : shape) size *= static_cast<size_t>(n);
    std::vector<float> values(size);
    file_.Read(name, values.data(), shape);
    return values;
  }

  // 0 where the state has no such part.
  double Scalar(const std::string& name) { return file_.Has(name) ? Read(name)[0] : 0; }

  // With the terms and weights of the state.
  Objective StateObjective() const {
    Objective objective;
    FieldsFromJson({{"entropy_weight", objective_.at("entropy_weight")},
                    {"value_weight", objective_.at("value_weight")},
                    {"value_horizon", objective_.at("value_horizon")},
                    {"value_start_step", 0},
                    {"unlikelihood_weight", objective_.value("unlikelihood_weight", 0.0)},
                    {"second_token_weight", objective_.value("second_token_weight", 0.0)}},
                   "train", objective);
    return objective;
  }

  SafetensorsFile file_;
  Json config_, objective_;
  std::unique_ptr<Model> model_;
  int batch_ = 0, length_ = 0;
  std::vector<int32_t> inputs_, targets_;
};

TEST_P(GoldenTest, LogitsAndValues) {
  Tape tape(model_->bank(), model_->packs(), DType::kF32);
  tape.BeginInference(batch_, length_, nullptr);
  const Prediction prediction = model_->Forward(tape, inputs_.data());
  const Tensor ours = LogProbabilities(tape, prediction.hidden, prediction.head, prediction.softcap);
  const std::vector<float> logits = Read("logits");
  const std::vector<float> values = file_.Has("values") ? Read("values") : std::vector<float>();
  const int vocab = model_->vocab();
  for (int n = 0; n < ours.rows; ++n) {
    double log_sum = 0;
    for (int v = 0; v < vocab; ++v) log_sum += std::exp(logits[static_cast<size_t>(n * vocab + v)]);
    for (int v = 0; v < vocab; ++v) {
      EXPECT_NEAR(ours.f32()[n * vocab + v], logits[static_cast<size_t>(n * vocab + v)] - std::log(log_sum), 1e-4);
    }
  }
  ASSERT_EQ(prediction.value_count * ours.rows, static_cast<int>(values.size()));
  for (int layer = 0; layer < prediction.value_count; ++layer) {
    for (int n = 0; n < ours.rows; ++n) {
      EXPECT_NEAR(prediction.values[layer].f32()[n], values[static_cast<size_t>(layer * ours.rows + n)], 1e-4);
    }
  }
}

TEST_P(GoldenTest, LossesAndEveryGradient) {
  Tape tape(model_->bank(), model_->packs(), DType::kF32);
  tape.BeginTraining(batch_, length_, 1, 1);
  const Prediction prediction = model_->Forward(tape, inputs_.data());
  const ObjectiveParts parts = StateObjective().Add(tape, prediction, inputs_.data(), targets_.data(), 0, 1.0, 1);
  tape.Backward();
  EXPECT_NEAR(parts.cross_entropy, Read("ce")[0], 1e-4);
  EXPECT_NEAR(parts["entropy"], Read("entropy")[0], 1e-4);
  EXPECT_NEAR(parts["value_loss"], Scalar("value_loss"), 1e-4 * Scalar("value_loss"));
  EXPECT_NEAR(parts["value_correlation"], Scalar("v_corr"), 1e-4);
  EXPECT_NEAR(parts["auxiliary"], Scalar("auxiliary"), 1e-5);
  EXPECT_NEAR(parts["unlikelihood"], Scalar("unlikelihood"), 1e-4);
  EXPECT_NEAR(parts["second_token"], Scalar("second_token"), 1e-4);
  for (const ParamInfo& info : model_->bank().infos()) {
    if (info.role == Role::kBuffer) continue;
    const std::vector<float> expected = Read("grad." + info.name);
    const float* ours = model_->bank().gradients() + info.offset;
    double difference = 0, norm = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += std::pow(ours[i] - expected[i], 2);
      norm += std::pow(expected[i], 2);
    }
    EXPECT_LT(std::sqrt(difference), 1e-4 * std::sqrt(norm) + 1e-7) << info.name;
  }
}

TEST_P(GoldenTest, TenTrainingLosses) {
  TrainConfig train;
  train.micro_batch = batch_;
  train.accumulate = 1;
  train.sequence_length = length_;
  train.objective = StateObjective();
  OptimConfig optim;
  optim.lr = objective_.at("lr").get<double>();
  const Json& betas = objective_.at("betas");
  FieldsFromJson({{"beta1", betas[0]}, {"beta2", betas[1]}, {"eps", objective_.at("eps")}}, "optim", optim);
  optim.weight_decay = objective_.at("weight_decay").get<double>();
  optim.clip = objective_.at("clip").get<double>();
  TrainingStep step(*model_, optim, train, DType::kF32, 1);
  const std::vector<float> losses = Read("losses"), norms = Read("grad_norms");
  for (size_t s = 0; s < losses.size(); ++s) {
    const StepOutcome outcome = step.Run(static_cast<int64_t>(s), inputs_.data(), targets_.data(), 1.0);
    EXPECT_NEAR(outcome.parts.total / losses[s], 1, 2e-4) << "step " << s;
    EXPECT_NEAR(outcome.gradient_norm / norms[s], 1, 5e-4) << "step " << s;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenTest, testing::ValuesIn(States()), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace flashlm
