// flashlm audit as a user runs, interrupts and continues it.
#include <fmt/format.h>

#include <fstream>

#include "base/error.h"
#include "train_fixture.h"

namespace flashlm {
namespace {

class AuditTest : public TrainTest {
 protected:
  CommandResult Audit(const std::string& out, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"audit", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommand(arguments, scratch_);
  }
  static void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  // A folder with the plan of a small audit: what the verb makes of a time, cut down.
  std::string Begun(const std::string& name) {
    std::string out = scratch_ / name;
    const std::string settings = out + "/settings.json";
    Command command({"audit", "--out", out, "--data", data_, "--time", "30s"}, scratch_);
    for (int i = 0; i < 6000 && !std::filesystem::exists(settings); ++i) command.WaitFor(0.005);
    command.Kill(SIGINT);
    command.Wait();
    Json plan = Json::parse(ReadFile(settings));
    EXPECT_GE(plan.at("steps"), 20);
    EXPECT_GE(plan.at("random_steps"), 200);
    plan["steps"] = 20;
    plan["random_steps"] = 3;
    plan["sequences"] = 2;
    std::filesystem::remove_all(out + "/runs");
    Write(settings, plan.dump());
    return out;
  }

  // Without what depends on the clock.
  static Json Rows(const std::string& out) {
    Json rows = Json::parse(ReadFile(out + "/audit.json")).at("rows");
    for (Json& row : rows) row.erase("training_seconds");
    return rows;
  }
};

TEST_F(AuditTest, InterruptedItGoesOnToTheSameResult) {
  const std::string whole = Begun("whole"), cut = scratch_ / "cut";
  std::filesystem::create_directory(cut);
  std::filesystem::copy(whole + "/settings.json", cut + "/settings.json");
  const CommandResult result = Audit(whole, {"--json", "--quiet"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json, Json::parse(ReadFile(whole + "/audit.json")));
  ASSERT_EQ(json.at("rows").size(), 7u);
  for (const Json& row : json.at("rows")) {
    EXPECT_EQ(row.at("tokens"), 20 * 16 * 128);
    EXPECT_EQ(row.at("parameters"), json.at("rows")[0].at("parameters"));
    EXPECT_EQ(row.at("true_tokens_scored"), 2 * 128);
  }
  const Json& correct = json.at("rows")[0];
  EXPECT_EQ(correct.at("leak"), 0);
  EXPECT_NEAR(correct.at("reported_bits_per_byte").get<double>(), correct.at("true_bits_per_byte").get<double>(), 1e-5);
  EXPECT_GT(json.at("rows")[1].at("leak"), 0);
  EXPECT_NE(ReadFile(whole + "/audit.html").find("<canvas data-chart=\"2\""), std::string::npos);
  EXPECT_NE(ReadFile(whole + "/audit.md").find("| correct |"), std::string::npos);
  EXPECT_TRUE(ReadFile(whole + "/audit.svg").starts_with("<svg"));

  // Within a model's training, and between models.
  for (const char* sign : {"/runs/correct", "/runs/correct/result.json", "/runs/norm_over_time"}) {
    Command command({"audit", "--out", cut}, scratch_);
    for (int i = 0; i < 6000 && !std::filesystem::exists(cut + sign); ++i) command.WaitFor(0.002);
    command.Kill(SIGINT);
    const CommandResult stopped = command.Wait();
    if (stopped.exit_code == 0) break;  // it was done before
    EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
    EXPECT_NE(stopped.err.find("flashlm audit --out " + cut), std::string::npos) << stopped.err;
  }
  const CommandResult resumed = Audit(cut, {"--data", data_, "--time", "30s"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("done before"), std::string::npos);
  EXPECT_NE(resumed.out.find("| correct |"), std::string::npos);
  EXPECT_EQ(Rows(cut), Rows(whole));

  // What is named again must agree; a damaged result is named.
  ExpectOneLine(Audit(cut, {"--time", "31s"}), 2, "does not agree");
  PrepareSmall(scratch_ / "other");
  ExpectOneLine(Audit(cut, {"--data", scratch_ / "other"}), 1, "is not that of the audit");
  Write(cut + "/settings.json", "{}");
  ExpectOneLine(Audit(cut), 1, "settings.json");
}

TEST_F(AuditTest, NoOtherVerbReachesItsModels) {
  const std::string preset = scratch_ / "leaking.toml";
  for (const char* name : {"audited", "audited+future_memory"}) {
    Write(preset, fmt::format("[model]\narchitecture = \"{}\"\n", name));
    ExpectOneLine(RunCommand({"train", "--preset", preset, "--data", data_, "--out", scratch_ / "run"}, scratch_), 2,
                  "unknown architecture");
    ExpectOneLine(RunCommand({"inspect", "--preset", preset}, scratch_), 2, "unknown architecture");
  }
  for (const char* preset_name : {"v8.3", "v5-thunderbolt", "v6-prcsm"}) {
    for (const char* set : {"future_memory", "norm_over_time", "whole_planner", "double_shift"}) {
      ExpectOneLine(RunCommand({"train", "--preset", preset_name, "--data", data_, "--out", scratch_ / "run", "--set",
                                fmt::format("model.{}=true", set)},
                               scratch_),
                    2, set);
    }
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "run"));
}

TEST_F(AuditTest, RefusesWhatIsWrong) {
  const std::string out = scratch_ / "out";
  ExpectOneLine(RunCommand({"audit"}, scratch_), 2, "--out");
  ExpectOneLine(Audit("-"), 2, "--out");
  ExpectOneLine(Audit(out, {"--time", "soon"}), 2, "--time soon");
  ExpectOneLine(Audit(out, {"--time", "1s"}), 2, "too short");
  ExpectOneLine(Audit(out, {"--time", "1m", "--data", scratch_ / "none"}), 1, "none");
  ExpectOneLine(Audit(out, {"--preset", "v8.3"}), 2, "--preset");
  ExpectOneLine(Audit(out, {"--set", "model.d_model=8"}), 2, "--set");
  Write(scratch_ / "file", "text");
  EXPECT_EQ(Audit(scratch_ / "file", {"--time", "1m", "--data", data_}).exit_code, 1);
  const std::string foreign = scratch_ / "foreign";
  std::filesystem::create_directory(foreign);
  Write(foreign + "/mine.txt", "text");
  ExpectOneLine(Audit(foreign, {"--time", "1m", "--data", data_}), 2, "mine.txt");
  EXPECT_EQ(ReadFile(foreign + "/mine.txt"), "text");
}

}  // namespace
}  // namespace flashlm
