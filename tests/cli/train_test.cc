// Training runs as a user starts, interrupts, kills and resumes them; and what they refuse.
#include <fmt/format.h>

#include <cstdlib>

#include "io/safetensors.h"
#include "kernels/gemm/precision.h"
#include "train_fixture.h"

namespace flashlm {
namespace {

TEST_F(TrainTest, WritesWhatItPromises) {
  const std::string run = scratch_ / "run";
  const CommandResult result = RunCommand(Train(run, {"--steps", "12", "--json"}), scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json results = Json::parse(result.out);
  for (const char* key : {"model", "params", "final_ppl", "best_ppl", "subset_tokens", "tokens", "steps", "val_nats",
                          "val_bits_per_byte", "val_bits_per_char", "stderr", "tokens_evaluated", "target_offset",
                          "causal_check_max_abs", "seed", "git_revision"}) {
    EXPECT_TRUE(results.contains(key)) << key;
  }
  EXPECT_EQ(results["causal_check_max_abs"], 0.0);
  EXPECT_EQ(results["causal_check_tokens"], 64) << "as long as its training sequences";
  EXPECT_EQ(results["val_part"], "test");
  EXPECT_EQ(results["dev_documents"], 5);
  EXPECT_EQ(results["steps"], 12);
  for (const char* file : {"config.toml", "log.jsonl", "samples.txt", "results.json", "best/model.safetensors",
                           "latest/config.json", "latest/tokenizer.json", "latest/trainer.json"}) {
    EXPECT_TRUE(std::filesystem::exists(run + "/" + file)) << file;
  }
}

TEST_F(TrainTest, AFinishedRunKeepsItsResults) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "4"}), scratch_).exit_code, 0);
  const std::string before = ReadFile(run + "/results.json");
  const CommandResult again = RunCommand({"train", "--resume", run, "--json"}, scratch_);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(ReadFile(run + "/results.json"), before);
  EXPECT_EQ(Json::parse(again.out), Json::parse(before));
}

// A law by which small models and few tokens go together: many tokens are worth a larger one.
TEST_F(TrainTest, TheBudgetChoosesTheSizeOfAFamily) {
  const auto write = [&](const std::string& name, const std::string& text) {
    WriteFileAtomic(scratch_ / name, text);
    return scratch_ / name;
  };
  const auto size = [&](const std::string& name, int width) {
    return write(name,
                 fmt::format("[model]\narchitecture = \"gpt\"\nd_model = {}\nn_heads = 2\nn_layers = 1\nd_ff = 16\n"
                             "[train]\nmicro_batch = 2\naccumulate = 1\nsequence_length = 16\neval_documents = 5\n",
                             width));
  };
  const std::string small = size("small.toml", 8), large = size("large.toml", 64);
  const std::string family =
      write("family.toml",
            fmt::format("sizes = [\"{}\", \"{}\"]\n[law]\nsize = 1.0\nsize_power = 0.5\ndata = 1.0\ndata_power = 0.5\n",
                        large, small));
  const auto chosen = [&](const std::string& run, const std::string& budget, const std::string& amount) {
    const CommandResult result =
        RunCommand({"train", "--preset", family, "--data", data_, "--out", scratch_ / run, budget, amount}, scratch_);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.err.find("size: "), std::string::npos) << result.err;
    return ParseToml(ReadFile(scratch_ / run + "/config.toml"), "config.toml").at("preset").get<std::string>();
  };
  EXPECT_EQ(chosen("few", "--tokens", "64"), small);
  EXPECT_EQ(chosen("many", "--steps", "600"), large);
  const std::string timed = chosen("timed", "--time", "1s");
  EXPECT_TRUE(timed == small || timed == large) << timed;
  // The run is of a fixed size: it resumes under the family's name and its own.
  for (const std::string& preset : {family, small}) {
    const CommandResult again =
        RunCommand({"train", "--resume", scratch_ / "few", "--preset", preset, "--tokens", "128"}, scratch_);
    EXPECT_EQ(again.exit_code, 0) << again.err;
  }
  // Where the budget reads the text again and again [repeated] holds, but for what is set by hand.
  const std::string often = write("often.toml", ReadFile(family) + "[repeated]\nepochs = 0.02\n[repeated.model]\n" +
                                                    "dropout = 0.25\n[repeated.train]\nword_dropout = 0.125\n");
  const auto dropout = [&](const std::string& run, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"train", "--preset", often, "--data", data_, "--out", scratch_ / run};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(RunCommand(arguments, scratch_).exit_code, 0);
    const Json config = ParseToml(ReadFile(scratch_ / run + "/config.toml"), "config.toml");
    return std::pair<double, double>(config.at("model").at("dropout"), config.at("train").at("word_dropout"));
  };
  EXPECT_EQ(dropout("seldom", {"--steps", "1"}), (std::pair{0.0, 0.0}));
  EXPECT_EQ(dropout("often", {"--steps", "600"}), (std::pair{0.25, 0.125}));
  EXPECT_EQ(dropout("by-hand", {"--steps", "600", "--set", "model.dropout=0.5"}), (std::pair{0.5, 0.125}));
  // A day of a text that has been read often enough in a moment ends then.
  const std::string ends = write(
      "ends.toml", ReadFile(family) + "[repeated]\nepochs = 9.0\nenough_epochs = 1e-6\n" + "enough_tokens = 64.0\n");
  const CommandResult early =
      RunCommand({"train", "--preset", ends, "--data", data_, "--out", scratch_ / "early", "--time", "24h"}, scratch_);
  EXPECT_EQ(early.exit_code, 0) << early.err;
  EXPECT_NE(early.err.find("more text would"), std::string::npos) << early.err;
  EXPECT_EQ(ParseJson(ReadFile(scratch_ / "early/results.json"), "test").at("tokens"), 64);
  const std::string aimless = write("aimless.toml", ReadFile(family) + "[repeated]\n");
  ExpectOneLine(RunCommand({"train", "--preset", aimless, "--data", data_, "--out", scratch_ / "x"}, scratch_), 2,
                "without a number of epochs");
  ExpectOneLine(RunCommand({"bench", "train", "--preset", family}, scratch_), 2, "is a family");
  ExpectOneLine(RunCommand({"inspect", "--preset", "flagship"}, scratch_), 2, "flagship-2m");
  const std::string none = write("none.toml", "sizes = []\n");
  ExpectOneLine(RunCommand({"train", "--preset", none, "--data", data_, "--out", scratch_ / "x"}, scratch_), 2,
                "no preset");
  const std::string wrong = write("wrong.toml", "sizes = [\"flagship-2m\"]\n[law]\nsize_pow = 1\n");
  ExpectOneLine(RunCommand({"train", "--preset", wrong, "--data", data_, "--out", scratch_ / "x"}, scratch_), 2,
                "did you mean 'size_power'");
}

TEST_F(TrainTest, ALinkToAFolderToComeIsFollowed) {
  std::filesystem::create_symlink(scratch_ / "there", scratch_ / "link");
  ASSERT_EQ(RunCommand(Train(scratch_ / "link", {"--steps", "1"}), scratch_).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "there/results.json"));
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

// A recipe takes the place of the preset's own, --set goes before it, and the run keeps its name.
TEST_F(TrainTest, WithAnotherRecipe) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(
      RunCommand(Train(run, {"--steps", "2", "--recipe", "adamw", "--set", "optim.lr=0.001"}), scratch_).exit_code, 0);
  const Json config = ParseToml(ReadFile(run + "/config.toml"), "test");
  EXPECT_EQ(config.at("recipe"), "adamw");
  EXPECT_EQ(config.at("optim").at("optimizer"), "adamw");
  EXPECT_EQ(config.at("optim").at("weight_decay"), 0.05);
  EXPECT_EQ(config.at("optim").at("lr"), 0.001);
  EXPECT_EQ(RunCommand({"train", "--resume", run, "--recipe", "adamw"}, scratch_).exit_code, 0);
  ExpectOneLine(RunCommand({"train", "--resume", run, "--recipe", "modern"}, scratch_), 2,
                "recipe = \"modern\" does not agree with the run");
  const Json described = Json::parse(RunCommand({"inspect", run, "--json"}, scratch_).out);
  EXPECT_EQ(described.at("recipe"), "adamw");

  ASSERT_EQ(RunCommand(Train(scratch_ / "own", {"--steps", "2"}), scratch_).exit_code, 0);
  EXPECT_EQ(ParseToml(ReadFile(scratch_ / "own/config.toml"), "test").at("recipe"), "modern");
  ExpectOneLine(RunCommand(Train(scratch_ / "none", {"--recipe", "moderm"}), scratch_), 2, "did you mean 'modern'?");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "none"));
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

// Sparse tables too: their values, and what the optimiser remembers of rows that are not read in every step.
TEST_F(TrainTest, ResumeIsExactWithTables) {
  const auto train = [&](const std::string& run) {
    return Train(run, {"--steps", "20", "--set", "model.table_bigrams=5000", "--set", "model.table_trigrams=3000",
                       "--set", "optim.table_beta1=0.9", "--set", "optim.table_beta2=0.95"});
  };
  ASSERT_EQ(RunCommand(train(scratch_ / "whole"), scratch_).exit_code, 0);
  const std::string run = scratch_ / "resumed";
  Command first(train(run), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(run + "/checkpoints/step_000010/trainer.json"); ++i) {
    ASSERT_FALSE(first.WaitFor(0.002) && !std::filesystem::exists(run + "/latest"));
  }
  first.Kill(SIGKILL);
  first.Wait();
  ASSERT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
  EXPECT_EQ(ModelOf(run), ModelOf(scratch_ / "whole"));
  EXPECT_EQ(MomentsOf(run), MomentsOf(scratch_ / "whole"));
  EXPECT_EQ(LossesOf(run), LossesOf(scratch_ / "whole"));
  const SafetensorsFile moments(run + "/latest/optimizer.safetensors");
  for (const char* name : {"m.input_tables.2grams", "v.input_tables.3grams", "at.input_tables.2grams"}) {
    EXPECT_TRUE(moments.Has(name)) << name;
  }
  const Json described = Json::parse(RunCommand({"inspect", run, "--json"}, scratch_).out);
  EXPECT_GT(described.at("table_parameters"), 8000);
}

// FLASHLM_KILLS sets how many moments are tried.
TEST_F(TrainTest, KilledAtRandomMomentsItEndsTheSame) {
  const char* wanted = std::getenv("FLASHLM_KILLS");
  ExpectKillsChangeNothing({"--steps", "30"}, wanted != nullptr ? std::atoi(wanted) : 4);
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
  ExpectOneLine(with({"--set", "train.batch_growth=0.5:1.2"}), 2, "1.2 times train.accumulate = 2");
  EXPECT_FALSE(std::filesystem::exists(run));
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
  ExpectOneLine(with({"--steps", "+5"}), 2, "leave out the +");
  ExpectOneLine(with({"--set", "model.vocab=600"}), 2, "vocabulary of 600");
  ExpectOneLine(RunCommand({"train", "--data", scratch_ / "nothing", "--out", run}, scratch_), 1, "nothing");
  ExpectOneLine(RunCommand({"train", "--resume", scratch_ / "nothing"}, scratch_), 1, "no run to resume");
  ExpectOneLine(RunCommand({"train", "--out", run}, scratch_), 2, "--data");
}

TEST_F(TrainTest, ResumeRefusesAnotherConfiguration) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "6"}), scratch_).exit_code, 0);
  ExpectOneLine(RunCommand({"train", "--resume", run, "--set", "model.d_model=64"}, scratch_), 2, "model.d_model = 64");
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

// The last step's model is evaluated and can become the best, also where that step had a checkpoint already.
TEST_F(TrainTest, TheEndIsAlwaysEvaluated) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "20"}), scratch_).exit_code, 0);  // 20 is a multiple of checkpoint_every
  const auto last_evaluated = [&] {
    int64_t step = -1;
    std::istringstream lines(ReadFile(run + "/log.jsonl"));
    for (std::string line; std::getline(lines, line);) step = Json::parse(line).value("eval_step", step);
    return step;
  };
  EXPECT_EQ(last_evaluated(), 20);
  EXPECT_EQ(std::filesystem::read_symlink(run + "/best"), "checkpoints/step_000020")
      << "its rate has fallen to the end";
  // Stopped between its last step and that evaluation.
  const std::string trainer = run + "/checkpoints/step_000020/trainer.json";
  Json json = ReadJsonFile(trainer);
  json["trainer"]["evaluated_step"] = 15;
  json.erase("sha256");
  json["sha256"] = Sha256(json.dump());
  WriteFileAtomic(trainer, json.dump());
  std::string log = ReadFile(run + "/log.jsonl");
  log.erase(log.find("{\"eval_step\":20"));
  WriteFileAtomic(run + "/log.jsonl", log);
  EXPECT_NE(last_evaluated(), 20);
  ASSERT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
  EXPECT_EQ(last_evaluated(), 20);
}

// A budget of time buys training; evaluations have their own clock.
TEST_F(TrainTest, ATimeBudgetIsOfTraining) {
  const std::string run = scratch_ / "run";
  const CommandResult result = RunCommand(Train(run, {"--time", "1s", "--json"}), scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json results = Json::parse(result.out);
  double steps = 0, seconds = 0;
  std::istringstream lines(ReadFile(run + "/log.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    seconds = json.at("seconds").get<double>();
    EXPECT_TRUE(json.contains("seconds_evaluating"));
    if (json.contains("step")) steps += 1e-3 * json.at("step_ms").get<double>();
  }
  EXPECT_NEAR(results.at("seconds").get<double>(), steps, 1e-6);
  EXPECT_EQ(results.at("seconds"), seconds);
  EXPECT_GT(results.at("seconds_evaluating"), 0.0);
  EXPECT_NEAR(results.at("time_min").get<double>() * 60, seconds, 1e-6);
  // Done is done: it does not take another step because the half step that it left out would fit.
  ASSERT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
  EXPECT_EQ(ReadJsonFile(run + "/results.json").at("steps"), results.at("steps"));
}

TEST_F(TrainTest, AStepThatIsLongerThanTheBudgetIsTheOnlyOne) {
  const CommandResult result = RunCommand(Train(scratch_ / "run", {"--hours", "1e-9", "--json"}), scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out).at("steps"), 1);
}

TEST_F(TrainTest, EverySignalThatEndsItSaves) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const std::string run = scratch_ / ("run" + std::to_string(signal));
    Command command(Train(run, {"--steps", "100000", "--set", "train.checkpoint_every=1000000"}), scratch_);
    for (int i = 0; i < 3000 && ReadLogOf(run).empty(); ++i) command.WaitFor(0.002);
    command.Kill(signal);
    EXPECT_EQ(command.Wait().exit_code, 1) << signal;
    EXPECT_TRUE(std::filesystem::exists(run + "/latest/trainer.json")) << signal;
  }
}

// --- the data of a run ---

TEST_F(TrainTest, ResumeRefusesOtherDataInTheSamePlace) {
  const std::string run = scratch_ / "run", data = scratch_ / "data";
  std::filesystem::copy(data_, data, std::filesystem::copy_options::recursive);
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "2", "--data", data}, false), scratch_).exit_code, 0);
  const std::string results = ReadFile(run + "/results.json"), valid = ReadFile(data + "/valid.txt");
  WriteFileAtomic(data + "/valid.txt", valid.substr(valid.size() / 2));
  ExpectOneLine(RunCommand({"train", "--resume", run}, scratch_), 1, "is not that of the run");
  ExpectOneLine(RunCommand({"train", "--resume", run, "--data", data}, scratch_), 1, "is not that of the run");
  ExpectOneLine(RunCommand({"train", "--resume", run, "--steps", "4"}, scratch_), 1, "is not that of the run");
  EXPECT_EQ(ReadFile(run + "/results.json"), results);
  WriteFileAtomic(data + "/valid.txt", valid);
  EXPECT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
}

TEST_F(TrainTest, TheSameDataElsewhereIsTheSameData) {
  const std::string run = scratch_ / "run", data = scratch_ / "ws/data", moved = scratch_ / "moved";
  std::filesystem::create_directories(scratch_ / "ws");
  std::filesystem::copy(data_, data, std::filesystem::copy_options::recursive);
  const std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(scratch_ / "ws");
  const CommandResult trained = RunCommand(Train(run, {"--steps", "2", "--data", "data/"}, false), scratch_);
  std::filesystem::current_path(here);
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  // From another working directory, by other names for the same place, and moved.
  EXPECT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
  EXPECT_EQ(RunCommand({"train", "--resume", run, "--data", data + "/../data/"}, scratch_).exit_code, 0);
  std::filesystem::rename(data, moved);
  const CommandResult lost = RunCommand({"train", "--resume", run}, scratch_);
  ExpectOneLine(lost, 1, data);
  EXPECT_NE(lost.err.find("--data NEW_PLACE"), std::string::npos) << lost.err;
  ExpectOneLine(RunCommand({"train", "--resume", run, "--data", scratch_ / "nowhere"}, scratch_), 1, "nowhere");
  EXPECT_EQ(RunCommand({"train", "--resume", run, "--data", moved}, scratch_).exit_code, 0);
  // It remembers the new place.
  EXPECT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
  EXPECT_EQ(ParseToml(ReadFile(run + "/config.toml"), "test").at("data"), std::filesystem::canonical(moved).string());
}

// Runs of earlier versions say where their data was, as it was typed, and nothing about it.
TEST_F(TrainTest, ARunWithoutAFingerprintGoesOnWithANote) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "2"}), scratch_).exit_code, 0);
  const auto forget = [](Json& config) { config.erase("data_fingerprint"); };
  Json config = ParseToml(ReadFile(run + "/config.toml"), "test");
  forget(config);
  WriteFileAtomic(run + "/config.toml", ToToml(config));
  for (const auto& entry : std::filesystem::directory_iterator(run + "/checkpoints")) {
    const std::string path = entry.path().string() + "/trainer.json";
    Json json = ReadJsonFile(path);
    forget(json["trainer"]["run"]);
    json.erase("sha256");
    json["sha256"] = Sha256(json.dump());
    WriteFileAtomic(path, json.dump());
  }
  const CommandResult resumed = RunCommand({"train", "--resume", run}, scratch_);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("note: the run in"), std::string::npos) << resumed.err;
}

// --- another budget ---

TEST_F(TrainTest, AFinishedRunIsExtendedAsIfItHadHadThatBudget) {
  ASSERT_EQ(RunCommand(Train(scratch_ / "whole", {"--steps", "40"}), scratch_).exit_code, 0);
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "20"}), scratch_).exit_code, 0);
  ExpectOneLine(RunCommand({"train", "--resume", run, "--steps", "9"}, scratch_), 2, "the run has done 20 steps");
  EXPECT_EQ(RunCommand({"train", "--resume", run, "--steps", "20"}, scratch_).exit_code, 0) << "nothing to change";
  // cortex-viii's rate is constant for half of the budget, the step at its middle included.
  const CommandResult result = RunCommand({"train", "--resume", run, "--steps", "+20"}, scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("back to step 11"), std::string::npos) << result.err;
  EXPECT_EQ(ModelOf(run), ModelOf(scratch_ / "whole"));
  EXPECT_EQ(MomentsOf(run), MomentsOf(scratch_ / "whole"));
  EXPECT_EQ(LossesOf(run), LossesOf(scratch_ / "whole"));
  EXPECT_EQ(ReadJsonFile(run + "/results.json").at("steps"), 40);
  EXPECT_EQ(ReadJsonFile(run + "/results_000020.json").at("steps"), 20);
  const Json config = ParseToml(ReadFile(run + "/config.toml"), "test");
  EXPECT_EQ(config.at("budget").at("amount"), 20.0);
  EXPECT_EQ(config.at("extensions")[0].at("amount"), 40.0);
}

TEST_F(TrainTest, KilledInsideAnExtensionItEndsTheSame) {
  const std::string finished = scratch_ / "finished";
  ASSERT_EQ(RunCommand(Train(finished, {"--steps", "20"}), scratch_).exit_code, 0);
  const Stopwatch start;
  std::filesystem::copy(finished, scratch_ / "whole",
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  ASSERT_EQ(RunCommand({"train", "--resume", scratch_ / "whole", "--steps", "60"}, scratch_).exit_code, 0);
  const double duration = start.Seconds();
  for (const double part : {0.1, 0.4, 0.7}) {
    const std::string run = scratch_ / ("run" + std::to_string(part));
    std::filesystem::copy(finished, run,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
    Command command({"train", "--resume", run, "--steps", "60"}, scratch_);
    command.WaitFor(part * duration);
    command.Kill(SIGKILL);
    command.Wait();
    // Without the budget where the run has taken it over, else again.
    const bool known = ParseToml(ReadFile(run + "/config.toml"), "test").contains("extensions");
    const CommandResult resumed = known ? RunCommand({"train", "--resume", run}, scratch_)
                                        : RunCommand({"train", "--resume", run, "--steps", "60"}, scratch_);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(ModelOf(run), ModelOf(scratch_ / "whole")) << part;
    EXPECT_EQ(LossesOf(run), LossesOf(scratch_ / "whole")) << part;
    EXPECT_EQ(ReadJsonFile(run + "/results.json").at("steps"), 60);
  }
}

TEST_F(TrainTest, ARateThatHasFallenRisesAnew) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, {"--steps", "12", "--set", "optim.schedule=cosine"}), scratch_).exit_code, 0);
  const std::string finished = ModelOf(run);
  const CommandResult result = RunCommand({"train", "--resume", run, "--steps", "24"}, scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("a new warm-up and decay"), std::string::npos) << result.err;
  EXPECT_EQ(ReadJsonFile(run + "/results.json").at("steps"), 24);
  EXPECT_NE(ModelOf(run), finished);
  std::vector<double> rates;
  std::istringstream lines(ReadFile(run + "/log.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    if (json.contains("step")) rates.push_back(json.at("lr_factor").get<double>());
  }
  ASSERT_EQ(rates.size(), 24u);
  EXPECT_LT(rates[11], 0.2);
  EXPECT_LT(rates[12], 0.1);
  EXPECT_GT(rates[13], 0.9);
  EXPECT_LT(rates[23], 0.2);
}

TEST_F(TrainTest, AnUnfinishedRunMayGetLessOrMore) {
  const std::string run = scratch_ / "run";
  Command command(Train(run, {"--steps", "100000"}), scratch_);
  for (int i = 0; i < 3000 && !std::filesystem::exists(run + "/latest"); ++i) command.WaitFor(0.002);
  command.Kill(SIGINT);
  command.Wait();
  const int64_t done = ReadJsonFile(run + "/latest/trainer.json").at("step").get<int64_t>();
  const std::string total = std::to_string(done + 10);
  const CommandResult result = RunCommand({"train", "--resume", run, "--steps", total}, scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ReadJsonFile(run + "/results.json").at("steps"), done + 10);
}

}  // namespace
}  // namespace flashlm
