// The architecture of CONTRIBUTING.md, compiled from that page, does what it should.
#include <gtest/gtest.h>

#include "eval/causality.h"
#include "models/registry.h"

namespace flashlm {
namespace {

TEST(Contributing, TheExampleIsAModel) {
  Json config = FindModel("one-block").tiny();
  config["architecture"] = "one-block";
  const std::unique_ptr<Model> model = MakeModel(config, false);
  model->bank().Initialize(1);
  const CausalityReport report = CheckCausality(*model, DType::kF32);
  EXPECT_TRUE(report.passed()) << ToJson(report).dump();
}

}  // namespace
}  // namespace flashlm
