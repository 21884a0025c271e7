// Ctrl-C, SIGTERM and SIGHUP as every verb takes them: work that saves something saves it first, all other ends at
// once.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/json.h"
#include "command.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr double kAtOnce = 5;  // seconds; one on a machine that has nothing else to do

class SignalsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Scratch;
    const std::vector<std::string> prepare = {
        "data",    "prepare", "--input",           "synthetic", "--out", *shared_ / "data",
        "--vocab", "400",     "--synthetic-bytes", "100000"};
    ASSERT_EQ(RunCommand(prepare, *shared_).exit_code, 0);
    const CommandResult train = RunCommand(Train(*shared_ / "run", {"--steps", "2"}), *shared_);
    ASSERT_EQ(train.exit_code, 0) << train.err;
    std::ofstream pairs(*shared_ / "pairs"), text(*shared_ / "text");
    for (int i = 0; i < 200000; ++i) {
      pairs << R"({"good": "The cat was happy.", "bad": "The cat happy was."})"
            << "\n";
      text << "The cat was happy and number " << i << ".\n<|endoftext|>\n";
    }
    ASSERT_EQ(::mkfifo((*shared_ / "fifo").c_str(), 0600), 0);
  }
  static void TearDownTestSuite() { delete shared_; }

  static std::vector<std::string> Train(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train",  "--preset",        "cortex-viii",
                                          "--data", *shared_ / "data", "--out",
                                          out,      "--set",           "train.checkpoint_every=1000000"};
    for (const char* set : {"model.vocab=400", "model.d_model=32", "model.n_layers=2", "model.d_head=8",
                            "model.d_mem=8", "model.d_ff=48", "train.sequence_length=32", "train.micro_batch=2",
                            "train.accumulate=1", "train.eval_documents=2", "train.eval_every=1000000"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // Until the run has made steps.
  static void WaitForSteps(Command& command, const std::string& run) {
    const auto steps = [&] {
      std::ifstream log(run + "/log.jsonl");
      std::string line;
      return static_cast<bool>(std::getline(log, line));
    };
    for (int i = 0; i < 3000 && !steps(); ++i) ASSERT_FALSE(command.WaitFor(0.01));
  }

  static Scratch* shared_;
  Scratch scratch_;
};
Scratch* SignalsTest::shared_ = nullptr;

// Whether the file that is to become `path` lies beside it (base/atomic_file.h).
bool HalfWritten(const std::string& path) {
  for (const auto& entry : fs::directory_iterator(fs::path(path).parent_path())) {
    const std::string name = entry.path().string();
    if (name.starts_with(path + ".") && name.ends_with(".tmp")) return true;
  }
  return false;
}

TEST_F(SignalsTest, VerbsThatSaveNothingEndAtOnce) {
  const std::string run = *shared_ / "run", tokenizer = *shared_ / "data/tokenizer.json", fifo = *shared_ / "fifo";
  const std::vector<std::vector<std::string>> verbs = {
      {"eval", "--model", run, "--pairs", *shared_ / "pairs"},
      {"eval", "--model", run, "--text", *shared_ / "text"},
      {"generate", "--model", run, "--tokens", "1000000000", "--frequency-penalty", "-100"},
      {"tokenizer", "encode", "--tokenizer", tokenizer},
      {"tokenizer", "decode", "--tokenizer", tokenizer},
      {"selftest"},
      {"doctor"},
      {"bench", "train", "--steps", "1000000"},
      {"bench", "decode", "--tokens", "1000000000"},
      {"bench", "gemm"},
  };
  const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < verbs.size(); ++i) {
    const int signal = signals[i % 3];
    SCOPED_TRACE(verbs[i][0] + " " + verbs[i][1 % verbs[i].size()] + ", signal " + std::to_string(signal));
    Command command(verbs[i], scratch_, 0, fifo);
    ASSERT_FALSE(command.WaitFor(0.4));
    command.Kill(signal);
    EXPECT_TRUE(command.WaitFor(kAtOnce));
    command.Kill(SIGKILL);
    EXPECT_EQ(command.Wait().exit_code, 128 + signal);
  }
}

// Opening a pipe waits for its other end; verbs that only note a signal must see it there, too.
TEST_F(SignalsTest, APipeWithoutAnotherEndDoesNotHoldThem) {
  const std::string lone = scratch_ / "lone", text = scratch_ / "short", run = *shared_ / "run";
  ASSERT_EQ(::mkfifo(lone.c_str(), 0600), 0);
  std::ofstream(text) << "The cat was happy.\n";
  const std::vector<std::vector<std::string>> verbs = {
      {"data", "prepare", "--input", lone, "--out", scratch_ / "data"},
      {"data", "prepare", "--input", text, "--valid", lone, "--out", scratch_ / "data"},
      {"eval", "--model", run, "--text", lone, "--tokens", scratch_ / "tokens"},
      {"eval", "--model", run, "--text", text, "--tokens", lone},
  };
  for (const int signal : {SIGINT, SIGHUP}) {
    for (const std::vector<std::string>& verb : verbs) {
      SCOPED_TRACE(verb[0] + " " + verb[3] + ", signal " + std::to_string(signal));
      Command command(verb, scratch_);
      ASSERT_FALSE(command.WaitFor(1.0));
      command.Kill(signal);
      EXPECT_TRUE(command.WaitFor(kAtOnce));
      command.Kill(SIGKILL);
      EXPECT_EQ(command.Wait().exit_code, 128 + signal);
    }
  }
}

TEST_F(SignalsTest, WhatIsHalfWrittenIsRemoved) {
  const std::string tokens = scratch_ / "tokens.jsonl", data = scratch_ / "data";
  Command eval({"eval", "--model", *shared_ / "run", "--text", *shared_ / "text", "--tokens", tokens}, scratch_);
  for (int i = 0; i < 500 && !HalfWritten(tokens); ++i) ASSERT_FALSE(eval.WaitFor(0.01));
  eval.Kill(SIGINT);
  EXPECT_TRUE(eval.WaitFor(kAtOnce));
  EXPECT_EQ(eval.Wait().exit_code, 128 + SIGINT);
  EXPECT_FALSE(fs::exists(tokens) || HalfWritten(tokens));

  Command prepare({"data", "prepare", "--input", "synthetic", "--out", data, "--synthetic-bytes", "2000000000"},
                  scratch_);
  ASSERT_FALSE(prepare.WaitFor(0.4));
  prepare.Kill(SIGTERM);
  EXPECT_TRUE(prepare.WaitFor(kAtOnce));
  EXPECT_EQ(prepare.Wait().exit_code, 128 + SIGTERM);
  EXPECT_FALSE(fs::exists(data));
}

TEST_F(SignalsTest, TrainingSavesBeforeItEnds) {
  for (const int signal : {SIGHUP, SIGTERM, SIGINT}) {
    const std::string run = scratch_ / ("run" + std::to_string(signal));
    Command command(Train(run, {"--steps", "100000000"}), scratch_);
    WaitForSteps(command, run);
    command.Kill(signal);
    const CommandResult result = command.Wait();
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("--resume " + run), std::string::npos) << result.err;
    EXPECT_TRUE(fs::exists(run + "/latest/trainer.json"));
  }
}

// As nohup starts it.
TEST_F(SignalsTest, AnIgnoredHangupStaysIgnored) {
  const std::string run = scratch_ / "run";
  ::signal(SIGHUP, SIG_IGN);
  Command command(Train(run, {"--steps", "100000000"}), scratch_);
  ::signal(SIGHUP, SIG_DFL);
  WaitForSteps(command, run);
  command.Kill(SIGHUP);
  EXPECT_FALSE(command.WaitFor(0.5));
  command.Kill(SIGTERM);
  EXPECT_EQ(command.Wait().exit_code, 1);
}

TEST_F(SignalsTest, ASecondSignalEndsAtOnce) {
  // Steps of minutes: the first signal waits for the end of one.
  Command command(Train(scratch_ / "run",
                        {"--steps", "10", "--set", "train.sequence_length=4096", "--set", "train.accumulate=10000"}),
                  scratch_);
  ASSERT_FALSE(command.WaitFor(1.5));
  command.Kill(SIGINT);
  ASSERT_FALSE(command.WaitFor(0.3));
  command.Kill(SIGINT);
  EXPECT_TRUE(command.WaitFor(kAtOnce));
  command.Kill(SIGKILL);
  EXPECT_EQ(command.Wait().exit_code, 128 + SIGINT);
}

}  // namespace
}  // namespace flashlm
