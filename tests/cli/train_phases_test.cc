// Phases of a run: what they change, and that a kill in any of them changes nothing.
#include <fmt/format.h>

#include <random>

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

class PhasesTest : public TrainTest {
 protected:
  std::string Preset(const std::string& name, const std::string& text) {
    WriteFileAtomic(scratch_ / name, text);
    return scratch_ / name;
  }
  std::vector<std::string> Run(const std::string& preset, const std::string& out,
                               const std::vector<std::string>& more = {"--steps", "20"}) const {
    std::vector<std::string> arguments = {"train", "--preset", preset, "--data", data_, "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
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
  for (const char* name : {"rcsm.mem_mix.weight", "rcsm.write_scale", "out_norm.weight"}) {
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
  const std::string whole = scratch_ / "whole", preset = Preset("phases.toml", std::string(kModel) + kPhases);
  const std::vector<std::string> more = {"--tokens", "8k"};
  ASSERT_EQ(RunCommand(Run(preset, whole, more), scratch_).exit_code, 0);
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 3; ++i) {
    const std::string run = scratch_ / ("run" + std::to_string(i));
    const size_t kill_after = std::uniform_int_distribution<size_t>(6, 55)(random);
    Command command(Run(preset, run, more), scratch_);
    for (int waits = 0; waits < 5000 && StepsOf(run).size() < kill_after; ++waits) command.WaitFor(0.002);
    command.Kill(SIGKILL);
    command.Wait();
    const CommandResult resumed = RunCommand({"train", "--resume", run}, scratch_);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(ModelOf(run), ModelOf(whole)) << "killed after " << kill_after << " steps";
    EXPECT_EQ(MomentsOf(run), MomentsOf(whole)) << "killed after " << kill_after << " steps";
    EXPECT_EQ(LossesOf(run), LossesOf(whole)) << "killed after " << kill_after << " steps";
  }
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
  refused("[[phases]]\ndepth = 2\n", "depth 2");
  refused("[[phases]]\nname = \"a\"\nfreeze = \"nothing.\"\n", "no parameter's name begins with 'nothing.'");
  refused("[[phases]]\n[phases.train]\nmicro_batch = 8\n", "micro_batch");
  refused("[phases]\nfrom = 0.0\n", "phases is no list");
}

}  // namespace
}  // namespace flashlm
