// Run folders as they are found: whole, under way, damaged.
#include "report/run_record.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/report/run_testing.h"

namespace flashlm {
namespace {

TEST_F(ReportTest, ReadsWhatTheLogSays) {
  const std::string folder = MakeRun("r", 40, [](Json& line) {
    const auto step = line["step"].get<int64_t>();
    line["phase"] = step <= 30 ? 1 : 2;
    if (step % 10 == 0) line["depth"] = {{"1", 0.75}, {"3", 0.25}};
    if (step == 5) line["bits_per_byte"] = nullptr;
    if (step == 7) line["routing"] = {0.5, 0.5};
  });
  const RunRecord run = ReadRun(folder + "/");
  EXPECT_EQ(run.name, "r");
  EXPECT_TRUE(run.finished());
  EXPECT_TRUE(run.notes.empty());
  EXPECT_EQ(run.log.steps.moments().size(), 40u);
  EXPECT_EQ(run.log.skipped, 1);
  const Series loss = run.log.steps.Of("bits_per_byte", 3, "training");
  ASSERT_EQ(loss.values.size(), 40u);
  EXPECT_EQ(loss.owner, 3u);
  EXPECT_EQ(loss.values[9], Step(10)["bits_per_byte"].get<double>());
  EXPECT_TRUE(std::isnan(loss.values[4]));
  EXPECT_EQ(loss.at[9].tokens, 20480);
  EXPECT_DOUBLE_EQ(loss.at[9].seconds, 1.0);
  const Series depth = run.log.steps.Of("depth.3", 0, "");
  EXPECT_EQ(depth.values, std::vector<double>(4, 0.25));
  EXPECT_EQ(depth.at[0].step, 10);
  EXPECT_EQ(run.log.steps.Of("routing.1", 0, "").at[0].step, 7);
  const Series dev = run.log.evaluations.Of("eval.bits_per_byte", 0, "");
  ASSERT_EQ(dev.values.size(), 2u);
  EXPECT_DOUBLE_EQ(dev.values[1], 0.86);
  ASSERT_EQ(run.log.phases.size(), 2u);
  EXPECT_EQ(run.log.phases[1].number, 2);
  EXPECT_EQ(run.log.phases[1].begin.step, 30);
  EXPECT_EQ(run.log.phases[1].end.step, 40);
  ASSERT_EQ(run.samples.size(), 2u);
  EXPECT_EQ(run.samples[0].text, "Once there\n\nwas a cat");
  EXPECT_EQ(run.samples[1].step, 40);
}

TEST_F(ReportTest, DamageIsSaidAndTheRestKept) {
  const std::string folder = MakeRun("r");
  std::ofstream(folder + "/log.jsonl", std::ios::app)
      << "\n[1]\n{\"step\":\"x\",\"tokens\":1}\n{\"step\":41,\"tokens\":83968,\"bits_per_byte\":1e999}\n"
         "{\"step\":41,\"tok";
  Write(folder + "/results.json", "{\"tokens\": 3");
  Write(folder + "/config.toml", "preset = \n");
  Write(folder + "/probe.json", "[]");
  Write(folder + "/samples.txt", "lost beginning\n\n== step 20\nOnce\n\n== step 40\ncut o");
  const RunRecord run = ReadRun(folder);
  EXPECT_FALSE(run.finished());
  EXPECT_EQ(run.log.steps.moments().size(), 40u);
  EXPECT_EQ(run.log.damaged, 5);
  EXPECT_EQ(run.log.first_damaged, 43);
  EXPECT_EQ(run.samples.size(), 2u);
  std::string notes;
  for (const std::string& note : run.notes) notes += note + "\n";
  for (const char* part : {"5 lines of log.jsonl cannot be read (the first is line 43)", "results.json", "config.toml",
                           "probe.json is damaged"}) {
    EXPECT_NE(notes.find(part), std::string::npos) << part << " in\n" << notes;
  }
  EXPECT_EQ(run.notes.size(), 4u) << notes;
}

TEST_F(ReportTest, AFolderOfOnlyALogOrOnlyAConfigIsARun) {
  Write(Folder("log") + "/log.jsonl", Step(1).dump() + "\n");
  EXPECT_EQ(ReadRun(root_ + "/log").log.steps.moments().size(), 1u);
  Write(Folder("config") + "/config.toml", "preset = 'gpt'\n");
  EXPECT_EQ(TextAt(ReadRun(root_ + "/config").config, "preset"), "gpt");
  EXPECT_EQ(ReadRun(root_ + "/config").notes.size(), 1u) << "no log";
}

TEST_F(ReportTest, WhatIsNoRunIsRefused) {
  for (const std::string& folder : {root_ + "/absent", Folder("empty"), root_ + "/empty/.."}) {
    try {
      ReadRun(folder);
      ADD_FAILURE() << folder;
    } catch (const Error& e) {
      EXPECT_NE(e.OneLine().find(folder), std::string::npos) << e.OneLine();
    }
  }
  Write(Folder("comparison") + "/comparison.json", "{}");
  try {
    ReadRun(root_ + "/comparison");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_NE(e.hint().find("comparison/NAME"), std::string::npos) << e.OneLine();
  }
}

TEST_F(ReportTest, RunsOfOneNameAreToldApart) {
  const std::vector<RunRecord> runs = ReadRuns({MakeRun("a/r"), MakeRun("b/r"), MakeRun("c/other")});
  EXPECT_EQ(runs[0].name, root_ + "/a/r");
  EXPECT_EQ(runs[1].name, root_ + "/b/r");
  EXPECT_EQ(runs[2].name, "other");
}

TEST_F(ReportTest, OfManyOrLongSamplesSomeAreKept) {
  const std::string folder = MakeRun("r");
  std::string samples;
  for (int i = 1; i <= 500; ++i)
    samples += fmt::format("== step {}\n{}\n\n", i, i == 500 ? std::string(9000, 'a') : "b");
  Write(folder + "/samples.txt", samples);
  const RunRecord run = ReadRun(folder);
  ASSERT_EQ(run.samples.size(), 12u);
  EXPECT_EQ(run.samples_left_out, 488);
  EXPECT_EQ(run.samples.front().step, 1);
  EXPECT_EQ(run.samples.back().step, 500);
  EXPECT_LT(run.samples.back().text.size(), 4100u);
}

}  // namespace
}  // namespace flashlm
