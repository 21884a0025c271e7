// Every option of the optimiser on a tiny transformer, against an independent PyTorch implementation
// (tests/golden/make_golden_optim.py).
#include <gtest/gtest.h>

#include <cmath>

#include "io/safetensors.h"
#include "models/model.h"
#include "train/step.h"

namespace flashlm {
namespace {

class GoldenOptimTest : public testing::Test {
 protected:
  GoldenOptimTest() : file_(std::string(FLASHLM_SOURCE_DIR) + "/tests/golden/optim/rules.safetensors") {
    config_ = ParseJson(file_.metadata().at("config"), "golden");
    const std::vector<int> shape = file_.Shape("tokens");  // [B,T+1]
    train_.micro_batch = shape[0];
    train_.accumulate = 1;
    train_.sequence_length = shape[1] - 1;
    std::vector<int32_t> tokens(static_cast<size_t>(shape[0] * shape[1]));
    file_.ReadInts("tokens", tokens.data(), shape);
    for (int b = 0; b < shape[0]; ++b) {
      const int32_t* row = tokens.data() + b * shape[1];
      inputs_.insert(inputs_.end(), row, row + shape[1] - 1);
      targets_.insert(targets_.end(), row + 1, row + shape[1]);
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

  void Check(const std::string& name, const Json& options) {
    OptimConfig optim;
    FieldsFromJson(config_.at("optim"), "optim", optim);
    FieldsFromJson(options, "optim", optim);
    const std::unique_ptr<Model> model = MakeModel(config_.at("model"), true);
    for (const ParamInfo& info : model->bank().infos()) {
      file_.Read("start." + info.name, model->bank().values() + info.offset, info.shape);
    }
    model->bank().Touch();
    TrainingStep step(*model, optim, train_, DType::kF32, 1);
    const std::vector<float> losses = Read(name + ".loss");
    const auto steps = config_.at("steps").get<int>();
    for (int s = 0; s < steps; ++s) {
      const double fraction = static_cast<double>(s) / steps;
      const StepOutcome outcome = step.Run(s, inputs_.data(), targets_.data(), 1 - s / 10.0, fraction);
      EXPECT_NEAR(outcome.parts.total, losses[static_cast<size_t>(s)], 2e-4) << "step " << s;
    }
    for (const ParamInfo& info : model->bank().infos()) {
      const std::vector<float> expected = Read(name + "." + info.name), start = Read("start." + info.name);
      const float* ours = model->bank().values() + info.offset;
      double difference = 0, way = 0;
      for (size_t i = 0; i < expected.size(); ++i) {
        difference += std::pow(ours[i] - expected[i], 2);
        way += std::pow(expected[i] - start[i], 2);
      }
      EXPECT_LT(std::sqrt(difference), 1e-3 * std::sqrt(way)) << info.name;
    }
  }

  SafetensorsFile file_;
  Json config_;
  TrainConfig train_;
  std::vector<int32_t> inputs_, targets_;
};

TEST_F(GoldenOptimTest, EveryOptionUpdatesAsDefined) {
  for (const auto& [name, options] : config_.at("cases").items()) {
    SCOPED_TRACE(name);
    Check(name, options);
  }
}

}  // namespace
}  // namespace flashlm
