#include "eval/by_depth.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/data/scratch.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

constexpr char kText[] =
    "Once upon a time there was a little cat.\n<|endoftext|>\nThe dog was not happy, and the cat was sad.";

TEST(ByDepthTest, IsTheModelAtEachDepthAndLeavesItAsItWas) {
  ScratchFolder folder;
  const std::string text = folder.Write("text.txt", kText);
  const auto model = TinyModel(FindModel("v6-supernova"));
  const std::vector<DepthText> depths = EvaluateByDepth(*model, DType::kF32, TinyTokenizer(), text, {});
  EXPECT_EQ(model->Depth(), 0);
  ASSERT_EQ(depths.size(), 4u);
  for (const DepthText& one : depths) {
    model->SetDepth(one.depth);
    const EvalResult alone = EvaluateFile(*model, DType::kF32, TinyTokenizer(), text, "", {});
    EXPECT_EQ(one.result.nats, alone.nats) << one.depth;
    int64_t tokens = 0;
    double nats = 0;
    for (size_t d = 0; d < one.result.by_depth.size(); ++d) {
      const Scorer::ByDepth& part = one.result.by_depth[d];
      if (one.depth > 0) {
        EXPECT_EQ(part.tokens > 0, kernels::kReasoningDepths[d] == one.depth);
      }
      tokens += part.tokens;
      nats += part.nats;
    }
    EXPECT_EQ(tokens, alone.tokens) << "padding was counted";
    EXPECT_NEAR(nats, alone.nats, 1e-6);
  }
  const Json json = ToJson(depths);
  EXPECT_EQ(json[1]["depth"], 3);
  EXPECT_EQ(json[1]["tokens_by_depth"]["3"], 1.0);
  EXPECT_EQ(json[3]["depth"], "adaptive");
  EXPECT_TRUE(json[3].contains("extra_time"));
  EXPECT_FALSE(json[0].contains("gain_kept"));
  EXPECT_NE(Describe(depths).find("adaptive"), std::string::npos);
}

// By hand: depth 8 gains half a nat, adaptive 0.4 of it, for half of its time beyond depth 1.
TEST(ByDepthTest, WhatIsKeptOfTheGainAndOfTheTime) {
  std::vector<DepthText> depths;
  const double nats[] = {200, 180, 150, 160}, seconds[] = {1, 2, 5, 3};
  for (size_t i = 0; i < kComparedDepths.size(); ++i) {
    EvalResult result;
    result.nats = nats[i];
    result.seconds = seconds[i];
    result.tokens = 100;
    result.bytes = 300;
    result.documents = 1;
    depths.push_back({kComparedDepths[i], result});
  }
  const Json adaptive = ToJson(depths)[3];
  EXPECT_NEAR(adaptive["gain_kept"].get<double>(), 0.8, 1e-12);
  EXPECT_NEAR(adaptive["extra_time"].get<double>(), 0.5, 1e-12);
  depths[2].result.nats = 210;  // deeper is worse
  EXPECT_TRUE(ToJson(depths)[3]["gain_kept"].is_null());
}

TEST(ByDepthTest, ModelsWithoutDepthAndTextThatIsReadOnceAreRefused) {
  const auto model = TinyModel(FindModel("gpt"));
  ScratchFolder folder;
  const std::string text = folder.Write("text.txt", kText);
  ExpectError([&] { EvaluateByDepth(*model, DType::kF32, TinyTokenizer(), text, {}); }, "gpt has no depth");
  ExpectError([&] { EvaluateByDepth(*model, DType::kF32, TinyTokenizer(), "-", {}); }, "again and again");
}

}  // namespace
}  // namespace flashlm
