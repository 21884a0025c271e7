// Phases of a run: what they change, and that a kill in any of them changes nothing.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <random>
#include <sstream>

#include "io/safetensors.h"
#include "train_fixture.h"

namespace flashlm {
namespace {

constexpr char kModel[] =
    "[model]\narchitecture = \"v6-supernova\"\nvocab = 512\nd_model = 32\nn_layers = 2\nd_reason = 16\n"
    "n_operations = 4\nn_slots = 4\n"
    "[train]\nsequence_length = 32\nmicro_batch = 4\naccumulate = 1\neval_documents = 4\ncheckpoint_every = 5\n"
    "entropy_weight = 0.0\neval_share = 100\nprecision = \"f32\"\n";
constexpr char kPhases[] =
    "[[phases]]\nname = \"foundation\"\nfreeze = \"rcsm., out_norm\"\ndepth = 1\n"
    "[[phases]]\nname = \"operations\"\nfrom = 0.25\ndepth = 3\n[phases.train]\nentropy_weight = 0.01\n"
    "[[phases]]\nname = \"all\"\nfrom = 0.75\ndepth = 0\n";

// On parts of the data, then with its own stories, which of so small a model are no better than it is.
constexpr char kCurriculum[] =
    "[[phases]]\nname = \"easy\"\nfreeze = \"rcsm.\"\ndepth = 1\ndifficulty = [0, 40]\n"
    "[[phases]]\nname = \"all\"\nfrom = 0.3\nfreeze = \"rcsm.memory.slots\"\ndepth = 0\n"
    "[[phases]]\nname = \"own\"\nfrom = 0.6\nsource = \"mixture\"\n[phases.train]\ndepth_weight = 1.0\n";
constexpr char kLenient[] =
    "own_share = 0.5\nown_stories = 24\nown_rounds = 3\nown_tokens = 160\nown_band_low = 0.0\nown_band_high = 0.9\n"
    "own_distinct = 0.0\nown_repetition = 1.0\n";

class PhasesTest : public TrainTest {
 protected:
  std::string Preset(const std::string& name, const std::string& text) {
    WriteFileAtomic(scratch_ / name, text);
    return scratch_ / name;
  }
  std::vector<std::string> Run(const std::string& preset, const std::string& out,
                               const std::vector<std::string>& more = {"--steps", "20"}) const {
    std::vector<std::string> arguments = {"train", "--preset", preset, "--data", data_, "--out", out};
    AddMachineChoices(more, arguments);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Kills runs by SIGKILL at moments after at least six and at most `latest_kill` steps and resumes them: weights and
  // losses are those of a run that was left alone, and so is what `expect_same` compares of the two folders.
  template <class ExpectSame>
  void ExpectKillsChangeNothing(const std::string& preset, const std::string& tokens, int kills, size_t latest_kill,
                                const ExpectSame& expect_same) {
    const std::string whole = scratch_ / "whole";
    const std::vector<std::string> more = {"--tokens", tokens};
    ASSERT_EQ(RunCommand(Run(preset, whole, more), scratch_).exit_code, 0);
    std::mt19937 random(std::random_device{}());
    for (int i = 0; i < kills; ++i) {
      const std::string run = scratch_ / ("run" + std::to_string(i));
      const size_t kill_after = std::uniform_int_distribution<size_t>(6, latest_kill)(random);
      SCOPED_TRACE(fmt::format("killed after {} steps", kill_after));
      Command command(Run(preset, run, more), scratch_);
      for (int waits = 0; waits < 5000 && StepsOf(run).size() < kill_after; ++waits) command.WaitFor(0.002);
      command.Kill(SIGKILL);
      command.Wait();
      const CommandResult resumed = RunCommand({"train", "--resume", run}, scratch_);
      ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
      EXPECT_EQ(ModelOf(run), ModelOf(whole));
      EXPECT_EQ(LossesOf(run), LossesOf(whole));
      expect_same(run, whole);
    }
  }
  // Of the checkpoint after `step`.
  static std::vector<float> Values(const std::string& run, int step, const std::string& name) {
    const SafetensorsFile file(fmt::format("{}/checkpoints/step_{:06d}/model.safetensors", run, step));
    const std::vector<int>& shape = file.Shape(name);
    size_t size = 1;
    for (const int n : shape) size *= static_cast<size_t>(n);
    std::vector<float> values(size);
    file.Read(name, values.data(), shape);
    return values;
  }
};

TEST_F(PhasesTest, SayWhatIsTrainedHowDeepAndWithWhichLosses) {
  const std::string run = scratch_ / "run", preset = Preset("phases.toml", std::string(kModel) + kPhases);
  const CommandResult result = RunCommand(
      Run(preset, run, {"--steps", "20", "--set", "train.keep_checkpoints=9", "--set", "train.checkpoint_every=1"}),
      scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("from step 6 on: phase 2 of 3, operations"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("phase 3/3"), std::string::npos) << result.err;
  const std::vector<Json> steps = StepsOf(run);
  ASSERT_EQ(steps.size(), 20u);
  for (size_t s = 0; s < steps.size(); ++s) EXPECT_EQ(steps[s].at("phase"), s < 5 ? 1 : s < 15 ? 2 : 3) << s;
  // The run keeps its phases.
  EXPECT_EQ(ParseToml(ReadFile(run + "/config.toml"), "config.toml").at("phases").size(), 3u);
}

TEST_F(PhasesTest, WhatIsFrozenKeepsItsBits) {
  const std::string run = scratch_ / "run", preset = Preset("phases.toml", std::string(kModel) + kPhases);
  ASSERT_EQ(
      RunCommand(Run(preset, run,
                     {"--steps", "20", "--set", "train.keep_checkpoints=99", "--set", "train.checkpoint_every=1"}),
                 scratch_)
          .exit_code,
      0);
  for (const char* name : {"rcsm.mem_mix.weight", "rcsm.write_scale", "rcsm.memory.slots", "out_norm.weight"}) {
    EXPECT_EQ(Values(run, 1, name), Values(run, 5, name)) << name;
    EXPECT_NE(Values(run, 5, name), Values(run, 6, name)) << name;
  }
  EXPECT_NE(Values(run, 1, "embedding.weight"), Values(run, 2, "embedding.weight"));
}

TEST_F(PhasesTest, OnePhaseThatChangesNothingIsARunWithout) {
  const std::string plain = Preset("plain.toml", kModel);
  const std::string one = Preset("one.toml", std::string(kModel) + "[[phases]]\nname = \"all\"\n");
  const std::string losses =
      Preset("losses.toml", std::string(kModel) + "[[phases]]\n[phases.train]\nentropy_weight = 0.05\n");
  for (const auto& [preset, out] : {std::pair{plain, "a"}, {one, "b"}, {losses, "c"}}) {
    ASSERT_EQ(RunCommand(Run(preset, scratch_ / out), scratch_).exit_code, 0);
  }
  EXPECT_EQ(ModelOf(scratch_ / "a"), ModelOf(scratch_ / "b"));
  EXPECT_NE(ModelOf(scratch_ / "a"), ModelOf(scratch_ / "c"));
  EXPECT_FALSE(StepsOf(scratch_ / "a").front().contains("phase"));
}

TEST_F(PhasesTest, KilledInAnyPhaseItEndsTheSame) {
  const std::string preset = Preset("phases.toml", std::string(kModel) + kPhases);
  ExpectKillsChangeNothing(preset, "8k", 3, 55, [](const std::string& run, const std::string& whole) {
    EXPECT_EQ(MomentsOf(run), MomentsOf(whole));
  });
}

TEST_F(PhasesTest, ReadPartsOfTheDataAndTheModelsOwnStories) {
  const std::string run = scratch_ / "run";
  const std::string preset = Preset("curriculum.toml", std::string(kModel) + kLenient + kCurriculum);
  const CommandResult result = RunCommand(Run(preset, run, {"--steps", "31"}), scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("phase 1, easy: from 0 % on, without rcsm., depth 1, stories of difficulty 0 to 40 %"),
            std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("own stories before step 20: "), std::string::npos) << result.err;
  const std::vector<Json> steps = StepsOf(run);
  ASSERT_EQ(steps.size(), 31u);
  std::istringstream log(ReadLogOf(run));
  for (std::string line; std::getline(log, line);) EXPECT_TRUE(Json::parse(line).contains("phase")) << line;
  std::vector<int64_t> rounds;
  int64_t kept = 0;
  for (const Json& step : steps) {
    const bool measured = step.contains("nats_at_depth");
    EXPECT_EQ(step.contains("own_stories"), step["phase"] == 3);
    EXPECT_EQ(measured, step["phase"] == 3 && (step["step"].get<int64_t>() - 1) % 4 == 0) << step;
    const auto& depth = step["depth"];
    EXPECT_NEAR(depth["1"].get<double>() + depth["3"].get<double>() + depth["8"].get<double>(), 1, 1e-6);
    if (step["phase"] == 1) {
      EXPECT_EQ(depth["1"], 1.0);
      EXPECT_NEAR(step["nats_by_depth"]["1"].get<double>(), step["cross_entropy"].get<double>(), 1e-9);
      EXPECT_TRUE(step["nats_by_depth"]["8"].is_null());
    }
    EXPECT_EQ(step["operations"].size(), 4u);
    if (!step.contains("own_round")) continue;
    rounds.push_back(step["step"]);
    kept += step["own_round"]["kept"].get<int64_t>();
    EXPECT_EQ(step["own_stories"], kept);
  }
  EXPECT_EQ(rounds, (std::vector<int64_t>{20, 24, 28}));
  EXPECT_GT(kept, 3);
  std::istringstream lines(ReadFile(run + "/own_stories.jsonl"));
  for (std::string line; std::getline(lines, line); --kept) {
    EXPECT_GT(Json::parse(line).at("nats_per_token").get<double>(), 0);
  }
  EXPECT_EQ(kept, 0);

  const CommandResult report = RunCommand({"report", run, "--out", scratch_ / "report.html", "--json"}, scratch_);
  ASSERT_EQ(report.exit_code, 0) << report.err;
  const Json page = Json::parse(report.out).at("charts");
  std::map<std::string, size_t> lines_of;
  for (const Json& chart : page.at("charts")) {
    if (chart.contains("lines")) lines_of[chart.at("title")] = chart.at("lines").size();
  }
  EXPECT_EQ(lines_of["depth"], 3u);
  EXPECT_EQ(lines_of["nats by depth"], 3u);
  EXPECT_EQ(lines_of["nats at depth"], 3u);
  EXPECT_EQ(lines_of["operations"], 4u);
  EXPECT_EQ(page.at("bands").size(), 3u);
}

// Other settings of phases, other losses; without phases, or without own stories, what is left is as if they were not.
TEST_F(PhasesTest, CanBeLeftOut) {
  const std::string all = std::string(kModel) + kLenient + kCurriculum;
  const std::string preset = Preset("curriculum.toml", all),
                    plain = Preset("plain.toml", std::string(kModel) + kLenient);
  std::string first_two = all.substr(0, all.find("[[phases]]\nname = \"own\""));
  const std::string two = Preset("two.toml", first_two);
  const auto losses = [&](const std::string& from, const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--steps", "24"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = RunCommand(Run(from, scratch_ / out, arguments), scratch_);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return LossesOf(scratch_ / out);
  };
  const std::string with = losses(preset, "with", {});
  EXPECT_EQ(losses(preset, "none", {"--set", "train.phases=0"}), losses(plain, "plain", {}));
  EXPECT_EQ(losses(preset, "first_two", {"--set", "train.phases=2"}), losses(two, "two", {}));
  const std::string control = losses(preset, "control", {"--set", "train.own_share=0"});
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "control/own_stories.jsonl"));
  const size_t before = with.find("\n16 ");  // where the third phase begins
  EXPECT_EQ(control.substr(0, before), with.substr(0, before));
  EXPECT_NE(control, with);
}

TEST_F(PhasesTest, KilledAmongPartsAndRoundsItEndsTheSame) {
  const std::string preset = Preset("curriculum.toml", std::string(kModel) + kLenient + kCurriculum);
  ExpectKillsChangeNothing(preset, "5k", 4, 38, [](const std::string& run, const std::string& whole) {
    for (const char* file : {"/own_stories.jsonl", "/own_stories.safetensors"}) {
      EXPECT_EQ(ReadFile(run + file), ReadFile(whole + file));
    }
  });
}

TEST_F(PhasesTest, WrongOnesAreRefusedBeforeAnythingIsWritten) {
  const auto refused = [&](const std::string& phases, const std::string& part) {
    const std::string preset = Preset("wrong.toml", std::string(kModel) + phases);
    ExpectOneLine(RunCommand(Run(preset, scratch_ / "x"), scratch_), 2, part);
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "x/config.toml")) << phases;
  };
  refused("[[phases]]\nfrom = 0.5\n", "phase 1 is from 0.5 on");
  refused("[[phases]]\n[[phases]]\n", "phase 2 is from 0 on");
  refused("[[phases]]\ndepths = 3\n", "did you mean 'depth'");
  refused("[[phases]]\ndificulty = [0, 30]\n", "did you mean 'difficulty'");
  refused("[[phases]]\n[[phases]]\nfrom = 1.5\n", "wrong.toml: phase 2: phases.from = 1.5");
  refused("[[phases]]\nfreeze = \"nothing.\"\n", "phase 1: no parameter's name");
  refused("[[phases]]\ndepth = 2\n", "depth 2");
  refused("[[phases]]\nname = \"a\"\nfreeze = \"nothing.\"\n", "no parameter's name begins with 'nothing.'");
  refused("[[phases]]\n[phases.train]\nmicro_batch = 8\n", "micro_batch");
  refused("[phases]\nfrom = 0.0\n", "phases is no list");
  refused("[[phases]]\ndifficulty = 30\n", "phases.difficulty = 30: must be two percentiles");
  refused("[[phases]]\ndifficulty = [50, 30]\n", "must be two percentiles");
  refused("[[phases]]\nsource = \"others\"\n", "choose from: data, own, mixture");
  const std::string without = Preset("without.toml", kModel);
  ExpectOneLine(RunCommand(Run(without, scratch_ / "x", {"--set", "train.phases=3"}), scratch_), 2,
                "train.phases = 3, but it has 0 phases");
}

}  // namespace
}  // namespace flashlm
