#include "train/run_result.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace flashlm {
namespace {

// Scripts and other programs' results have these names.
TEST(RunResult, KeepsItsNames) {
  const Json json = ToJson(RunResult{});
  for (const char* key : {"model",
                          "architecture",
                          "params",
                          "final_ppl",
                          "best_ppl",
                          "tokens",
                          "steps",
                          "time_min",
                          "tok_per_sec",
                          "subset_tokens",
                          "val_nats",
                          "val_bits_per_byte",
                          "val_bits_per_char",
                          "stderr",
                          "tokens_evaluated",
                          "target_offset",
                          "causal_check_max_abs",
                          "causal_check_tokens",
                          "seed",
                          "git_revision",
                          "seconds",
                          "seconds_evaluating",
                          "val_part",
                          "best_bits_per_byte",
                          "dev_documents",
                          "average",
                          "averaged_bits_per_byte",
                          "raw_bits_per_byte"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

TEST(RunResult, IsReadBackAsItWasWritten) {
  RunResult result;
  result.model = "v8.3";
  result.seed = 18'446'744'073'709'551'615u;
  result.val_bits_per_byte = 0.1 + 0.2;
  result.stderr_bits_per_byte = 0.003;
  result.tokens = 3'000'000'000'000;
  const RunResult read = RunResultFromJson(ParseJson(ToJson(result).dump(), "test"), "test");
  EXPECT_EQ(ToJson(read).dump(), ToJson(result).dump());
  EXPECT_EQ(read.val_bits_per_byte, result.val_bits_per_byte);
  EXPECT_TRUE(std::isnan(read.best_ppl)) << "unknown";
}

TEST(RunResult, TheErrorOfASingleDocumentIsNotKnown) {
  RunResult result;
  EvalResult eval;
  eval.documents = eval.tokens = eval.bytes = 1;
  result.SetEvaluation(eval, 1, "test");
  EXPECT_EQ(ToJson(result).at("stderr").dump(), "null");
}

TEST(RunResult, ReadsThoseOfEarlierVersions) {
  const RunResult read = RunResultFromJson(
      ParseJson(R"({"model": "x", "val_bits_per_byte": 0.9, "best_bits_per_byte_on_the_way": 1.0})", "test"), "test");
  EXPECT_EQ(read.val_bits_per_byte, 0.9);
  EXPECT_EQ(read.val_part, "");
}

// What is there must still be right.
TEST(RunResult, RefusesWhatIsNoResult) {
  EXPECT_THROW(RunResultFromJson(ParseJson(R"({"steps": "many"})", "test"), "results.json"), UsageError);
}

}  // namespace
}  // namespace flashlm
