// flashlm bench
#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "command.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"

namespace flashlm {
namespace {

class BenchTest : public testing::Test {
 protected:
  CommandResult Run(const std::vector<std::string>& arguments) { return RunCommand(arguments, scratch_); }
  Scratch scratch_;
};

TEST_F(BenchTest, TrainHasTheContractsOptions) {
  const CommandResult result = Run({"bench", "train", "--preset", "v8.4-lean", "--seq-len", "16", "--batch", "2",
                                    "--threads", "1", "--accumulate", "1", "--steps", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  for (const char* key : {"preset", "tokens_per_s", "gemm_gflops_peak", "model_flops_per_token", "fraction_of_peak",
                          "peak_rss_mb", "threads", "isa", "precision"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["tokens_per_step"], 32);
  EXPECT_EQ(json["threads"], 1);
  const Json f32 = Json::parse(Run({"bench", "train", "--preset", "v8.4-lean", "--seq-len", "16", "--batch", "1",
                                    "--steps", "1", "--set", "train.precision=f32", "--json"})
                                   .out);
  EXPECT_EQ(f32["precision"], "f32");  // not overridden by the option's default
  EXPECT_FALSE(f32.contains("gradient_noise"));
}

TEST_F(BenchTest, GemmHasTheRatesOfWhatThisCpuMultiplies) {
  const CommandResult result = Run({"bench", "gemm", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  std::set<std::string> types;
  for (const Json& shape : json["shapes"]) types.insert(shape["type"].get<std::string>());
  std::set<std::string> expected = {"f32"};
  if (kernels::MultipliesBf16()) expected.insert("bf16");
  if (kernels::HasVnni()) expected.insert("int8");
  EXPECT_EQ(types, expected);
  for (const std::string& type : expected) EXPECT_GT(json["gflops_peak_" + type].get<double>(), 0) << type;
}

TEST_F(BenchTest, TrainSaysWhatIntegersChange) {
  if (!kernels::HasVnni()) GTEST_SKIP() << "this CPU does not train in int8";
  const CommandResult result =
      Run({"bench", "train", "--preset", "v8.4-lean", "--seq-len", "32", "--batch", "4", "--steps", "1", "--set",
           "train.products=int8", "--set", "train.precision=f32", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json.at("products"), "int8");
  std::set<std::string> layers;
  for (const Json& layer : json.at("gradient_noise")) {
    layers.insert(layer.at("layer"));
    EXPECT_GT(layer.at("int8"), 1e-4) << layer;
    EXPECT_LT(layer.at("int8"), 1) << layer;
    EXPECT_EQ(layer.at("without"), 0.0) << layer;  // it is f32 there
  }
  EXPECT_TRUE(layers.contains("blocks.0")) << json.at("gradient_noise");
}

}  // namespace
}  // namespace flashlm
