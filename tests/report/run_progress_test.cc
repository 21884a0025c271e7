#include "report/run_progress.h"

#include <gtest/gtest.h>

#include "report/run_report.h"
#include "tests/report/page_testing.h"
#include "tests/report/run_testing.h"

namespace flashlm {
namespace {

using RunProgressTest = ReportTest;

TEST_F(RunProgressTest, TellsHowLongItTakes) {
  const std::string folder = MakeRun("run", 80);  // 0.1 s and 2,048 tokens a step
  std::filesystem::remove(folder + "/results.json");
  RunProgress progress = ProgressOf(ReadRun(folder));  // of 100 steps
  EXPECT_DOUBLE_EQ(progress.share, 0.8);
  EXPECT_NEAR(progress.seconds_left, 2, 1e-9);
  EXPECT_NEAR(progress.tokens_per_s, 20480, 1e-6);
  Write(folder + "/config.toml", "[budget]\nkind = 'time'\namount = 20.0\n");
  progress = ProgressOf(ReadRun(folder));
  EXPECT_DOUBLE_EQ(progress.share, 0.4);
  EXPECT_NEAR(progress.seconds_left, 12, 1e-9);
  EXPECT_EQ(progress.budget, "0:20");
  Write(folder + "/config.toml",
        "[budget]\nkind = 'time'\namount = 20.0\n[[extensions]]\nkind = 'tokens'\namount = 204800.0\n");
  progress = ProgressOf(ReadRun(folder));
  EXPECT_DOUBLE_EQ(progress.share, 0.8);
  EXPECT_NEAR(progress.seconds_left, 2, 1e-9);
}

TEST_F(RunProgressTest, KnowsNothingOfARunWithoutSteps) {
  const std::string folder = MakeRun("run", 0);
  const RunProgress progress = ProgressOf(ReadRun(folder));
  EXPECT_TRUE(std::isnan(progress.share) && std::isnan(progress.seconds_left) && std::isnan(progress.tokens_per_s));
}

// The live page is the report's, and may ask its own server alone.
TEST_F(RunProgressTest, ALivePageIsTheReportAndItsProgress) {
  const RunRecord run = ReadRun(MakeRun("run<1>", 30));
  const std::string live = LiveReportHtml(run), file = RunReportHtml({&run, 1});
  ExpectWellFormed(live);
  EXPECT_EQ(DataOf(live), DataOf(file));
  EXPECT_NE(live.find("connect-src 'self'"), std::string::npos);
  EXPECT_EQ(file.find("connect-src"), std::string::npos);
  EXPECT_EQ(file.find("fetch("), std::string::npos) << "a page that is a file asks nobody";
  const Json parts = LiveReportParts(run);
  EXPECT_EQ(parts.at("charts"), DataOf(live));
  EXPECT_NE(BodyOf(live).find(parts.at("body").get<std::string>()), std::string::npos);
  EXPECT_NE(parts.at("body").get<std::string>().find("<progress"), std::string::npos);
}

}  // namespace
}  // namespace flashlm
