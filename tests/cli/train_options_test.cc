// What a run may change on its way: the order of documents, averages of weights, steps that grow. Each is killed and
// resumed, extended, and compared with what it must equal.
#include <cmath>
#include <functional>
#include <numeric>

#include "data/documents.h"
#include "io/safetensors.h"
#include "kernels/isa.h"
#include "train_fixture.h"

namespace flashlm {
namespace {

// Documents that every epoch reads in another order: ten steps an epoch.
TEST_F(TrainTest, KilledInAnyEpochItReadsTheSameDocuments) {
  const std::string data = scratch_ / "small";
  PrepareSmall(data);
  ExpectKillsChangeNothing({"--steps", "40", "--data", data, "--set", "train.shuffle=documents"}, 2, false);
  const std::string documents = LossesOf(scratch_ / "whole");
  ASSERT_EQ(RunCommand(Train(scratch_ / "chunks", {"--steps", "40", "--data", data}, false), scratch_).exit_code, 0);
  EXPECT_NE(LossesOf(scratch_ / "chunks"), documents);
}

// --- averages of weights ---

const std::vector<std::string> kAverage = {"--set", "train.average=ema",     "--set", "train.average_fraction=0.6",
                                           "--set", "train.average_every=3", "--set", "train.average_blend=0.7",
                                           "--set", "train.precision=f32"};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(TrainTest, KilledWithAnAverageItEndsTheSame) {
  ExpectKillsChangeNothing(std::vector<std::string>{"--steps", "30"} + kAverage, 2);
  EXPECT_NE(AverageOf(scratch_ / "whole"), "");
}

TEST_F(TrainTest, KilledWithProductsOfInt8ItEndsTheSame) {
  if (!kernels::HasVnni()) GTEST_SKIP() << "this CPU does not multiply int8 vectors";
  ExpectKillsChangeNothing({"--steps", "30", "--set", "train.products=int8"}, 2);
}

TEST_F(TrainTest, AnAverageChangesTheModelAndNotItsTraining) {
  const std::string plain = scratch_ / "plain", averaged = scratch_ / "averaged";
  const std::vector<std::string> steps = {"--steps", "20"};
  ASSERT_EQ(
      RunCommand(Train(plain, steps + std::vector<std::string>{"--set", "train.precision=f32"}), scratch_).exit_code,
      0);
  ASSERT_EQ(RunCommand(Train(averaged, steps + kAverage), scratch_).exit_code, 0);
  EXPECT_EQ(LossesOf(averaged), LossesOf(plain));
  EXPECT_EQ(MomentsOf(averaged), MomentsOf(plain));
  EXPECT_NE(ModelOf(averaged), ModelOf(plain));
  const SafetensorsFile model(plain + "/latest/model.safetensors"), state(averaged + "/latest/average.safetensors");
  for (const auto& [name, tensor] : model.tensors()) {
    const std::vector<int>& shape = model.Shape(name);
    std::vector<float> expected(std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>()));
    std::vector<float> raw(expected.size());
    model.Read(name, expected.data(), shape);
    state.Read("raw." + name, raw.data(), shape);
    EXPECT_EQ(raw, expected) << name;
  }

  // What is reported of it is what others find, of the blend as of the weights in it.
  const Json results = ReadJsonFile(averaged + "/results.json"), without = ReadJsonFile(plain + "/results.json");
  EXPECT_EQ(results.at("average"), "ema");
  EXPECT_EQ(without.at("average"), "none");
  EXPECT_TRUE(without.at("raw_bits_per_byte").is_null());
  EXPECT_NE(results.at("raw_bits_per_byte"), results.at("averaged_bits_per_byte"));
  std::string dev;  // the five documents of the dev part that are read
  size_t count = 0;
  ForEachDocument(ReadFile(data_ + "/valid.txt"), [&](std::string_view document) {
    if (count % 2 == 0 && count < 10) dev.append(document).append("\n<|endoftext|>\n");
    ++count;
  });
  WriteFileAtomic(scratch_ / "dev.txt", dev);
  for (const auto& [run, key] :
       {std::pair{averaged, "averaged_bits_per_byte"}, std::pair{plain, "raw_bits_per_byte"}}) {
    const CommandResult eval =
        RunCommand({"eval", "--model", run + "/latest", "--text", scratch_ / "dev.txt", "--json"}, scratch_);
    ASSERT_EQ(eval.exit_code, 0) << eval.err;
    EXPECT_NEAR(Json::parse(eval.out).at("bits_per_byte").get<double>(), results.at(key).get<double>(), 1e-9) << key;
  }
}

// The blend comes and goes with every evaluation, sample and checkpoint.
TEST_F(TrainTest, HowOftenItIsEvaluatedChangesNothing) {
  const std::string seldom = scratch_ / "seldom", often = scratch_ / "often";
  const std::vector<std::string> more = std::vector<std::string>{"--steps", "20"} + kAverage;
  const std::vector<std::string> every = {"--set", "train.eval_every=2",      "--set", "train.sample_every=3",
                                          "--set", "train.checkpoint_every=1"};
  ASSERT_EQ(RunCommand(Train(seldom, more), scratch_).exit_code, 0);
  ASSERT_EQ(RunCommand(Train(often, more + every), scratch_).exit_code, 0);
  EXPECT_EQ(LossesOf(often), LossesOf(seldom));
  EXPECT_EQ(ModelOf(often), ModelOf(seldom));
  EXPECT_EQ(AverageOf(often), AverageOf(seldom));
  EXPECT_EQ(MomentsOf(often), MomentsOf(seldom));
}

// Under another budget the average begins where that has its last part.
TEST_F(TrainTest, AnExtendedRunAveragesAsIfItHadHadThatBudget) {
  const std::string run = scratch_ / "run", whole = scratch_ / "whole";
  ASSERT_EQ(RunCommand(Train(whole, std::vector<std::string>{"--steps", "40"} + kAverage), scratch_).exit_code, 0);
  ASSERT_EQ(RunCommand(Train(run, std::vector<std::string>{"--steps", "20"} + kAverage), scratch_).exit_code, 0);
  const CommandResult result = RunCommand({"train", "--resume", run, "--steps", "40"}, scratch_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("back to step 11"), std::string::npos) << result.err;
  EXPECT_EQ(ModelOf(run), ModelOf(whole));
  EXPECT_EQ(AverageOf(run), AverageOf(whole));
  EXPECT_EQ(MomentsOf(run), MomentsOf(whole));
}

// --- growing steps and sequences ---

const std::vector<std::string> kGrowth = {"--set", "train.batch_growth=0:0.5,0.3:1,0.6:2", "--set",
                                          "train.length_growth=0:16,0.5:64"};

TEST_F(TrainTest, StepsAndSequencesGrowWithTheBudget) {
  const std::string grown = scratch_ / "grown", plain = scratch_ / "plain";
  ASSERT_EQ(RunCommand(Train(grown, std::vector<std::string>{"--steps", "20"} + kGrowth), scratch_).exit_code, 0);
  ASSERT_EQ(RunCommand(Train(plain, {"--steps", "20"}), scratch_).exit_code, 0);
  const std::vector<Json> steps = StepsOf(grown), constant = StepsOf(plain);
  ASSERT_EQ(steps.size(), 20u);
  int64_t tokens = 0;
  for (size_t s = 0; s < steps.size(); ++s) {
    const double multiple = s < 6 ? 0.5 : s < 12 ? 1 : 2;
    EXPECT_EQ(steps[s].at("step_tokens"), 512 * multiple) << s;
    EXPECT_EQ(steps[s].at("sequence_length"), s < 10 ? 16 : 64) << s;
    tokens += steps[s].at("step_tokens").get<int64_t>();
    EXPECT_EQ(steps[s].at("tokens"), tokens) << s;
    EXPECT_NEAR(steps[s].at("epoch").get<double>() / static_cast<double>(tokens),
                constant[s].at("epoch").get<double>() / constant[s].at("tokens").get<double>(), 1e-12);
    EXPECT_NEAR(steps[s].at("lr_factor").get<double>(), constant[s].at("lr_factor").get<double>() * std::sqrt(multiple),
                1e-12);
  }
  const Json results = ReadJsonFile(grown + "/results.json");
  EXPECT_EQ(results.at("tokens"), tokens);
  EXPECT_EQ(results.at("epochs"), steps.back().at("epoch"));
}

// With all that can change between steps at once, under a budget whose parts are counted in tokens.
TEST_F(TrainTest, KilledWhileItGrowsItEndsTheSame) {
  const std::string data = scratch_ / "small";
  PrepareSmall(data);
  ExpectKillsChangeNothing(
      std::vector<std::string>{"--tokens", "18k", "--data", data, "--set", "train.shuffle=documents"} + kGrowth +
          kAverage,
      3, false);
}

// Where steps are cut into parts of the budget by the clock, a kill costs what came after the checkpoint, no more.
TEST_F(TrainTest, KilledUnderABudgetOfTimeItGoesOnWhereItWas) {
  const std::string run = scratch_ / "run";
  Command command(Train(run, std::vector<std::string>{"--time", "3s"} + kGrowth), scratch_);
  for (int i = 0; i < 5000 && StepsOf(run).size() < 40; ++i) command.WaitFor(0.002);
  command.Kill(SIGKILL);
  command.Wait();
  const Json saved = ReadJsonFile(run + "/latest/trainer.json").at("trainer");
  const size_t done = saved.at("step").get<size_t>();
  ASSERT_EQ(RunCommand({"train", "--resume", run}, scratch_).exit_code, 0);
  const std::vector<Json> steps = StepsOf(run);
  ASSERT_GT(steps.size(), done);
  EXPECT_EQ(steps[done - 1].at("tokens"), saved.at("tokens"));
  EXPECT_EQ(steps[done - 1].at("seconds"), saved.at("seconds"));
  int64_t tokens = 0, largest = 0;
  for (const Json& step : steps) {
    const int64_t size = step.at("step_tokens").get<int64_t>();
    EXPECT_GE(size, largest) << "never smaller again";
    largest = size;
    tokens += size;
    EXPECT_EQ(step.at("tokens"), tokens);
  }
  EXPECT_EQ(largest, 1024);
  const Json results = ReadJsonFile(run + "/results.json");
  EXPECT_EQ(results.at("tokens"), tokens);
  EXPECT_NEAR(results.at("seconds").get<double>(), 3, 0.5);
}

// A longer budget goes back to before the rate fell, with steps as large as they were there.
TEST_F(TrainTest, AnExtendedRunDoesNotShrink) {
  const std::string run = scratch_ / "run";
  ASSERT_EQ(RunCommand(Train(run, std::vector<std::string>{"--steps", "20"} + kGrowth), scratch_).exit_code, 0);
  ASSERT_EQ(RunCommand({"train", "--resume", run, "--steps", "60"}, scratch_).exit_code, 0);
  const std::vector<Json> steps = StepsOf(run);
  ASSERT_EQ(steps.size(), 60u);
  for (size_t s = 11; s < 60; ++s) {  // gone back to step 11
    EXPECT_EQ(steps[s].at("step_tokens"), s < 36 ? 512 : 1024) << s;
    EXPECT_EQ(steps[s].at("sequence_length"), 64) << s;
  }
}

}  // namespace
}  // namespace flashlm
