// flashlm report, on runs as `train` leaves them.
#include <fstream>

#include "tests/cli/train_fixture.h"
#include "tests/report/page_testing.h"

namespace flashlm {
namespace {

class ReportVerbTest : public TrainTest {};

TEST_F(ReportVerbTest, MakesOnePageOfRuns) {
  const std::string run = scratch_ / "run", other = scratch_ / "other", page = scratch_ / "report.html";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "20", "--set", "train.eval_every=10"}), scratch_).exit_code, 0);
  // One that was killed: no results yet, and half a line.
  std::filesystem::copy(run, other, std::filesystem::copy_options::recursive);
  std::filesystem::remove(other + "/results.json");
  std::ofstream(other + "/log.jsonl", std::ios::app) << "{\"step\":21,";
  const CommandResult made = RunCommand({"report", run, other, "--out", page}, scratch_);
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.err.find("other: 1 line of log.jsonl cannot be read"), std::string::npos) << made.err;
  const std::string html = ReadFile(page);
  ExpectWellFormed(html);
  EXPECT_NE(BodyOf(html).find("<li>other: unfinished: step 20, 100 % of"), std::string::npos);
  // A curve of every step, as the log has them.
  const Json data = DataOf(html), curve = data.at("series")[0];
  const std::vector<Json> steps = StepsOf(run);
  ASSERT_EQ(curve.at("values").size(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_NEAR(curve.at("values")[i].get<double>(), steps[i].at("bits_per_byte").get<double>(), 1e-4);
    EXPECT_EQ(curve.at("tokens")[i], steps[i].at("tokens"));
  }
  EXPECT_EQ(data.at("series")[1].at("values").size(), 2u) << "evaluations";

  const CommandResult json = RunCommand({"report", run, "--json"}, scratch_);
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_EQ(Json::parse(json.out).at("runs")[0].at("results"), Json::parse(ReadFile(run + "/results.json")));
  const CommandResult printed = RunCommand({"report", run, "--out", "-", "--quiet"}, scratch_);
  EXPECT_EQ(printed.exit_code, 0);
  EXPECT_TRUE(printed.out.starts_with("<!doctype html>"));
  EXPECT_EQ(printed.err, "");
}

TEST_F(ReportVerbTest, EvaluationsSayWhatTernaryWeightsAre) {
  const std::string run = scratch_ / "run";
  const CommandResult trained = RunCommand({"train",
                                            "--preset",
                                            "v6-supernova",
                                            "--data",
                                            data_,
                                            "--out",
                                            run,
                                            "--steps",
                                            "4",
                                            "--set",
                                            "model.vocab=512",
                                            "--set",
                                            "model.d_model=32",
                                            "--set",
                                            "model.d_reason=16",
                                            "--set",
                                            "train.sequence_length=32",
                                            "--set",
                                            "train.micro_batch=2",
                                            "--set",
                                            "train.eval_documents=4"},
                                           scratch_);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  std::istringstream lines(ReadFile(run + "/log.jsonl"));
  int evaluations = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    if (!json.contains("eval_step")) continue;
    ++evaluations;
    const Json& parts = json.at("ternary_fractions");
    EXPECT_NEAR(parts.at("minus").get<double>() + parts.at("zero").get<double>() + parts.at("plus").get<double>(), 1,
                1e-9);
    EXPECT_GT(parts.at("zero"), 0.1);
  }
  EXPECT_GT(evaluations, 0);
}

TEST_F(ReportVerbTest, WhatCannotBeReportedIsSaidInOneLine) {
  const std::string run = scratch_ / "run", page = scratch_ / "report.html";
  std::filesystem::create_directory(run);
  struct Case {
    std::vector<std::string> arguments;
    int code;
    std::string part;
  };
  for (const Case& wrong : std::vector<Case>{{{"report", run, "--out", page}, 1, "is no run"},
                                             {{"report", run + "/absent", "--out", page}, 1, "there is no folder"},
                                             {{"report", "--out", page}, 2, "runs is required"},
                                             {{"report", run}, 2, "needs --out"},
                                             {{"report", run, "--out", run}, 2, "is a folder"},
                                             {{"report", run, "--out", "-", "--json"}, 2, "together"}}) {
    const CommandResult result = RunCommand(wrong.arguments, scratch_);
    EXPECT_EQ(result.exit_code, wrong.code) << result.err;
    EXPECT_NE(result.err.find(wrong.part), std::string::npos) << result.err;
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(page));
  }
  // Nothing of a run is written over.
  std::ofstream(run + "/log.jsonl") << "{\"step\":1,\"tokens\":2}\n";
  EXPECT_EQ(RunCommand({"report", run, "--out", run + "/log.jsonl"}, scratch_).exit_code, 2);
  EXPECT_EQ(ReadFile(run + "/log.jsonl"), "{\"step\":1,\"tokens\":2}\n");
}

}  // namespace
}  // namespace flashlm
