// Runs of a model that makes a step in milliseconds, on a data set that a suite's tests share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "command.h"
#include "machine_choices.h"

namespace flashlm {

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
  static std::vector<std::string> Train(const std::string& out, const std::vector<std::string>& more,
                                        bool with_data = true) {
    std::vector<std::string> arguments = {"train", "--preset", "cortex-viii", "--out", out};
    if (with_data) arguments.insert(arguments.end(), {"--data", data_});
    for (const char* set :
         {"model.vocab=512", "model.d_model=32", "model.n_layers=2", "model.d_head=8", "model.d_mem=8", "model.d_ff=48",
          "model.dropout=0.1", "train.sequence_length=64", "train.micro_batch=4", "train.accumulate=2",
          "train.eval_documents=5", "train.eval_share=100", "train.checkpoint_every=5", "train.value_start_step=3"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    AddMachineChoices(more, arguments);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static std::string ModelOf(const std::string& run) { return ReadFile(run + "/latest/model.safetensors"); }
  static std::string AverageOf(const std::string& run) {
    const std::string path = run + "/latest/average.safetensors";
    return std::filesystem::exists(path) ? ReadFile(path) : "";
  }
  static std::string MomentsOf(const std::string& run) { return ReadFile(run + "/latest/optimizer.safetensors"); }

  // The lines of steps in log.jsonl; none of a line that is still being written.
  static std::vector<Json> StepsOf(const std::string& run) {
    std::vector<Json> steps;
    std::istringstream lines(ReadLogOf(run));
    for (std::string line; std::getline(lines, line);) {
      Json json = Json::parse(line, nullptr, false);
      if (json.is_object() && json.contains("step")) steps.push_back(std::move(json));
    }
    return steps;
  }

  // A data set of which ten steps are an epoch.
  void PrepareSmall(const std::string& data) {
    const CommandResult made = RunCommand(
        {"data", "prepare", "--input", "synthetic", "--out", data, "--vocab", "512", "--synthetic-bytes", "16000"},
        scratch_);
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

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

  static std::string ReadLogOf(const std::string& run) {
    return std::filesystem::exists(run + "/log.jsonl") ? ReadFile(run + "/log.jsonl") : "";
  }

  // A run with `more`, left alone in "whole", ends bit for bit the same after a kill at any moment.
  void ExpectKillsChangeNothing(const std::vector<std::string>& more, int kills, bool with_data = true) {
    const Stopwatch start;
    const std::string whole = scratch_ / "whole";
    const CommandResult uninterrupted = RunCommand(Train(whole, more, with_data), scratch_);
    ASSERT_EQ(uninterrupted.exit_code, 0) << uninterrupted.err;
    const double duration = start.Seconds();
    std::mt19937 random(std::random_device{}());
    for (int i = 0; i < kills; ++i) {
      const std::string run = scratch_ / ("run" + std::to_string(i));
      const double moment = std::uniform_real_distribution<>(0.02, 0.95)(random) * duration;
      Command command(Train(run, more, with_data), scratch_);
      command.WaitFor(moment);
      command.Kill(SIGKILL);
      command.Wait();
      const bool started = std::filesystem::exists(run + "/config.toml");
      const CommandResult result = started ? RunCommand({"train", "--resume", run}, scratch_)
                                           : RunCommand(Train(run, more, with_data), scratch_);
      ASSERT_EQ(result.exit_code, 0) << "killed after " << moment << " s: " << result.err;
      EXPECT_EQ(ModelOf(run), ModelOf(whole)) << "killed after " << moment << " s";
      EXPECT_EQ(AverageOf(run), AverageOf(whole)) << "killed after " << moment << " s";
      EXPECT_EQ(MomentsOf(run), MomentsOf(whole)) << "killed after " << moment << " s";
      EXPECT_EQ(LossesOf(run), LossesOf(whole)) << "killed after " << moment << " s";
      std::filesystem::remove_all(run);
    }
  }

  void ExpectOneLine(const CommandResult& result, int code, const std::string& part) {
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("error: "), std::string::npos);
    EXPECT_EQ(result.ErrorLines(), 1) << result.err;
  }

  static inline Scratch* shared_ = nullptr;
  static inline std::string data_;
  Scratch scratch_;
};

}  // namespace flashlm
