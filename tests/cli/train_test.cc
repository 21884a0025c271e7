// Training runs as a user starts, interrupts, kills and resumes them; and what they refuse.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "base/json.h"
#include "base/progress.h"
#include "command.h"
#include "kernels/gemm/precision.h"

namespace flashlm {
namespace {

class TrainTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Scratch;
    data_ = *shared_ / "data";
    const CommandResult made = RunCommand(
        {"data", "prepare", "--input", "synthetic", "--out", data_, "--vocab", "512", "--synthetic-bytes", "300000"},
        *shared_);
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
  static void TearDownTestSuite() { delete shared_; }

  // A model that makes a step in milliseconds; `more` is appended.
  static std::vector<std::string> Train(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train", "--preset", "cortex-viii", "--data", data_, "--out", out};
    for (const char* set :
         {"model.vocab=512", "model.d_model=32", "model.n_layers=2", "model.d_head=8", "model.d_mem=8", "model.d_ff=48",
          "model.dropout=0.1", "train.sequence_length=64", "train.micro_batch=4", "train.accumulate=2",
          "train.eval_documents=5", "train.checkpoint_every=5", "train.value_start_step=3"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static std::string ModelOf(const std::string& run) { return ReadFile(run + "/latest/model.safetensors"); }
  static std::string MomentsOf(const std::string& run) { return ReadFile(run + "/latest/optimizer.safetensors"); }

  // Steps and losses of log.jsonl, without what depends on the clock.
  static std::string LossesOf(const std::string& run) {
    std::string text;
    std::istringstream lines(ReadFile(run + "/log.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line);
      if (json.contains("step")) text += json["step"].dump() + " " + json["cross_entropy"].dump() + "\n";
    }
    return text;
  }

  void ExpectOneLine(const CommandResult& result, int code, const std::string& part) {
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("error: "), std::string::npos);
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
  }

  static Scratch* shared_;
  static std::string data_;
  Scratch scratch_;
};
Scratch* TrainTest::shared_ = nullptr;
std::string TrainTest::data_;

TEST_F(TrainTest, WritesWhatItPromises) {
  const std::string run = scratch_ / "run";
  const CommandResult result = RunCommand(Train(run, {"--steps", "12", "--json"}), scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json results = Json::parse(result.out);
  for (const char* key :
       {"model", "params", "final_ppl", "tokens", "steps", "val_nats", "val_bits_per_byte", "val_bits_per_char",
        "stderr", "tokens_evaluated", "target_offset", "causal_check_max_abs", "seed", "git_revision"}) {
    EXPECT_TRUE(results.contains(key)) << key;
  }
  EXPECT_EQ(results["causal_check_max_abs"], 0.0);
  EXPECT_EQ(results["steps"], 12);
  for (const char* file : {"config.toml", "log.jsonl", "samples.txt", "results.json", "best/model.safetensors",
                           "latest/config.json", "latest/tokenizer.json", "latest/trainer.json"}) {
    EXPECT_TRUE(std::filesystem::exists(run + "/" + file)) << file;
  }
}

// The announced way to say a budget, and a model that takes the data's vocabulary unless told otherwise.
TEST_F(TrainTest, HoursAndTheVocabularyOfTheData) {
  std::vector<std::string> arguments = Train(scratch_ / "run", {"--hours", "0.0002"});
  const auto vocab = std::find(arguments.begin(), arguments.end(), "model.vocab=512");
  arguments.erase(vocab - 1, vocab + 1);
  const CommandResult result = RunCommand(arguments, scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json config = ParseToml(ReadFile(scratch_ / "run/config.toml"), "test");
  EXPECT_EQ(config.at("model").at("vocab"), 512);
  EXPECT_NEAR(config.at("budget").at("amount").get<double>(), 0.72, 1e-9);
}

TEST_F(TrainTest, ResumeIsExact) {
  ASSERT_EQ(RunCommand(Train(scratch_ / "whole", {"--steps", "20"}), scratch_).exit_code, 0);
  // Killed after its checkpoint at step 10, in the middle of a later step.
  const std::string run = scratch_ / "resumed";
  Command first(Train(run, {"--steps", "20"}), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(run + "/checkpoints/step_000010/trainer.json"); ++i) {
    ASSERT_FALSE(first.WaitFor(0.002) && !std::filesystem::exists(run + "/latest"));
  }
  first.Kill(SIGKILL);
  first.Wait();
  const CommandResult resumed = RunCommand({"train", "--resume", run}, scratch_);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(ModelOf(run), ModelOf(scratch_ / "whole"));
  EXPECT_EQ(MomentsOf(run), MomentsOf(scratch_ / "whole"));
  EXPECT_EQ(LossesOf(run), LossesOf(scratch_ / "whole"));
}

// FLASHLM_KILLS sets how many moments are tried.
TEST_F(TrainTest, KilledAtRandomMomentsItEndsTheSame) {
  const char* wanted = std::getenv("FLASHLM_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 4;
  const Stopwatch start;
  ASSERT_EQ(RunCommand(Train(scratch_ / "whole", {"--steps", "30"}), scratch_).exit_code, 0);
  const double duration = start.Seconds();
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < kills; ++i) {
    const std::string run = scratch_ / ("run" + std::to_string(i));
    const double moment = std::uniform_real_distribution<>(0.02, 0.95)(random) * duration;
    Command command(Train(run, {"--steps", "30"}), scratch_);
    command.WaitFor(moment);
    command.Kill(SIGKILL);
    command.Wait();
    const bool started = std::filesystem::exists(run + "/config.toml");
    const CommandResult result = started ? RunCommand({"train", "--resume", run}, scratch_)
                                         : RunCommand(Train(run, {"--steps", "30"}), scratch_);
    ASSERT_EQ(result.exit_code, 0) << "killed after " << moment << " s: " << result.err;
    EXPECT_EQ(ModelOf(run), ModelOf(scratch_ / "whole")) << "killed after " << moment << " s";
    std::filesystem::remove_all(run);
  }
}

// "auto" is decided once, when the run starts: config.toml and trainer.json have what it became, before there is any
// checkpoint too, and every session keeps to it.
TEST_F(TrainTest, KeepsThePrecisionItStartedWith) {
  const std::string run = scratch_ / "run", chosen = NameOf(kernels::ComputeType("auto", kernels::Work::kTraining));
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "6", "--set", "train.precision=auto"}), scratch_).exit_code, 0);
  const auto kept = [](const std::string& folder) {
    return ParseToml(ReadFile(folder + "/config.toml"), "test").at("train").at("precision").get<std::string>();
  };
  EXPECT_EQ(kept(run), chosen);
  EXPECT_EQ(ReadJsonFile(run + "/results.json").at("precision"), chosen);
  EXPECT_EQ(ReadJsonFile(run + "/latest/trainer.json").at("trainer").at("run").at("train").at("precision"), chosen);
  EXPECT_EQ(RunCommand({"train", "--resume", run, "--set", "train.precision=auto"}, scratch_).exit_code, 0);
  const std::string other = chosen == "f32" ? "bf16" : "f32";
  ExpectOneLine(RunCommand({"train", "--resume", run, "--set", "train.precision=" + other}, scratch_), 2,
                "train.precision");

  // Killed before its first checkpoint, a run has only its config.toml.
  const std::string early = scratch_ / "early";
  Command command(Train(early, {"--steps", "4", "--set", "train.precision=f32"}), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(early + "/config.toml"); ++i) command.WaitFor(0.002);
  command.Kill(SIGKILL);
  command.Wait();
  std::filesystem::remove_all(early + "/checkpoints");
  const CommandResult resumed = RunCommand({"train", "--resume", early, "--set", "train.precision=auto"}, scratch_);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(kept(early), "f32");
  EXPECT_EQ(ReadJsonFile(early + "/results.json").at("precision"), "f32");
}

TEST_F(TrainTest, ARunInBf16GoesOnWhereTheCpuHasNone) {
  if (!kernels::MultipliesBf16()) GTEST_SKIP() << "no bf16 here";
  const std::string run = scratch_ / "run";
  Command command(Train(run, {"--steps", "100000", "--set", "train.precision=bf16"}), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(run + "/latest"); ++i) command.WaitFor(0.002);
  command.Kill(SIGINT);
  command.Wait();
  ::setenv("FLASHLM_ISA", "avx2", 1);
  Command elsewhere({"train", "--resume", run}, scratch_);
  ::unsetenv("FLASHLM_ISA");
  elsewhere.WaitFor(1.5);
  elsewhere.Kill(SIGINT);
  const CommandResult result = elsewhere.Wait();
  EXPECT_NE(result.err.find("bf16, which this CPU does not multiply: it goes on in f32"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("is saved"), std::string::npos) << result.err;
  EXPECT_NE(ReadFile(run + "/config.toml").find("'bf16'"), std::string::npos);  // still the run's own
}

TEST_F(TrainTest, CtrlCSavesAndSaysHowToGoOn) {
  const std::string run = scratch_ / "run";
  Command command(Train(run, {"--steps", "100000"}), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(run + "/latest"); ++i) command.WaitFor(0.002);
  command.Kill(SIGINT);
  const CommandResult result = command.Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("flashlm train --resume " + run), std::string::npos) << result.err;
  // A second process may not enter a run that is in use.
  Command running({"train", "--resume", run}, scratch_);
  ASSERT_FALSE(running.WaitFor(0.7));
  ExpectOneLine(RunCommand({"train", "--resume", run, "--quiet"}, scratch_), 1, "in use by another process");
  running.Kill(SIGINT);
  running.Wait();
}

TEST_F(TrainTest, RefusesWhatIsWrongBeforeAnyWork) {
  const std::string run = scratch_ / "run";
  const auto with = [&](std::vector<std::string> more) { return RunCommand(Train(run, more), scratch_); };
  ExpectOneLine(RunCommand({"train", "--preset", "cortex-vii", "--data", data_, "--out", run}, scratch_), 2,
                "did you mean 'cortex-viii'");
  ExpectOneLine(with({"--set", "model.d_modle=3"}), 2, "did you mean 'd_model'");
  ExpectOneLine(with({"--set", "train.micro_batch=0"}), 2, "out of range");
  ExpectOneLine(with({"--set", "nonsense"}), 2, "section.key=value");
  ExpectOneLine(with({"--set", "train.second_token_weight=0.5"}), 2, "no second head");
  ExpectOneLine(with({"--time", "soon"}), 2, "--time soon");
  ExpectOneLine(with({"--time", "1m", "--steps", "3"}), 2, "one budget");
  ExpectOneLine(with({"--time", "1m", "--hours", "2"}), 2, "one budget");
  ExpectOneLine(with({"--hours", "0"}), 2, "--hours 0");
  ExpectOneLine(with({"--set", "model.vocab=600"}), 2, "vocabulary of 600");
  ExpectOneLine(RunCommand({"train", "--data", scratch_ / "nothing", "--out", run}, scratch_), 1, "nothing");
  ExpectOneLine(RunCommand({"train", "--resume", scratch_ / "nothing"}, scratch_), 1, "no run to resume");
  ExpectOneLine(RunCommand({"train", "--out", run}, scratch_), 2, "--data");
}

TEST_F(TrainTest, ResumeRefusesAnotherConfiguration) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "6"}), scratch_).exit_code, 0);
  ExpectOneLine(RunCommand({"train", "--resume", run, "--set", "model.d_model=64"}, scratch_), 2, "model.d_model = 64");
  ExpectOneLine(RunCommand({"train", "--resume", run, "--steps", "9"}, scratch_), 2, "budget.amount");
  ExpectOneLine(RunCommand(Train(run, {"--steps", "6"}), scratch_), 2, "already holds a run");

  // An edited config.toml would otherwise be ignored silently.
  const std::string config = ReadFile(run + "/config.toml");
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = config;
    return text.replace(text.find(from), from.size(), to);
  };
  WriteFileAtomic(run + "/config.toml", replaced("'cortex-viii'", "'another'"));
  ExpectOneLine(RunCommand({"train", "--resume", run}, scratch_), 1, "config.toml");
  WriteFileAtomic(run + "/config.toml", replaced("d_model = 32", "d_model = 64"));
  ExpectOneLine(RunCommand({"train", "--resume", run}, scratch_), 1, "model.d_model = 64");
  WriteFileAtomic(run + "/config.toml", replaced("[train]", "[trian]"));
  ExpectOneLine(RunCommand({"train", "--resume", run}, scratch_), 1, "config.toml");
}

TEST_F(TrainTest, ACheckpointOfOneArchitectureIsRefusedByAnother) {
  const std::string run = scratch_ / "run", other = scratch_ / "other.toml", folder = scratch_ / "folder";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "2"}), scratch_).exit_code, 0);
  WriteFileAtomic(other, "[model]\narchitecture = \"another\"\n");
  ExpectOneLine(
      RunCommand({"train", "--resume", run, "--preset", other}, scratch_), 2,
      "model.architecture = \"another\" does not agree with the run in '" + run + "', which has \"cortex-viii\"");
  // A model folder whose files come from two models.
  std::filesystem::copy(run + "/latest/", folder);
  std::filesystem::remove(folder + "/trainer.json");
  Json config = ReadJsonFile(folder + "/config.json");
  config["architecture"] = "another";
  WriteFileAtomic(folder + "/config.json", config.dump());
  const std::string message = "architecture \"another\" instead of \"cortex-viii\"";
  ExpectOneLine(RunCommand({"eval", "--model", folder, "--text", data_ + "/valid.txt"}, scratch_), 1, message);
  ExpectOneLine(RunCommand({"generate", "--model", folder, "--json"}, scratch_), 1, message);
  ExpectOneLine(RunCommand({"inspect", folder}, scratch_), 1, message);
}

TEST_F(TrainTest, FullDiskKeepsTheLastCheckpoint) {
  const std::string run = scratch_ / "run";
  Command command(Train(run, {"--steps", "100000"}), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(run + "/latest"); ++i) command.WaitFor(0.002);
  command.Kill(SIGINT);
  command.Wait();
  const std::string before = ModelOf(run);
  const int64_t limit = static_cast<int64_t>(before.size() / 2);
  const CommandResult result = RunCommand({"train", "--resume", run, "--quiet"}, scratch_, limit);
  ExpectOneLine(result, 1, "intact");
  EXPECT_EQ(ModelOf(run), before);
}

TEST_F(TrainTest, DamagedCheckpointFallsBackToThePreviousOne) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "12"}), scratch_).exit_code, 0);
  std::string model = ModelOf(run);
  model[model.size() / 2] ^= 1;
  WriteFileAtomic(run + "/latest/model.safetensors", model);
  const CommandResult resumed = RunCommand({"train", "--resume", run}, scratch_);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("model.safetensors"), std::string::npos) << resumed.err;
}

}  // namespace
}  // namespace flashlm
