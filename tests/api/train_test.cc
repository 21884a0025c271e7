#include <flashlm/flashlm.h>

#include "base/files.h"
#include "data/prepare.h"
#include "tests/api/api_fixture.h"

namespace flashlm {
namespace {

using Kind = api::Error::Kind;

class ApiTrainTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new ScratchFolder;
    PrepareOptions options;
    options.source_options = {{"bytes", 100000}};
    options.vocab = 300;
    options.out = *shared_ / "data";
    PrepareData(options);
  }
  static void TearDownTestSuite() { delete shared_; }

  // Of a model that makes a step in milliseconds.
  api::TrainConfig Config(const std::string& run) const {
    return {.data = *shared_ / "data",
            .out = scratch_ / run,
            .preset = "cortex-viii",
            .steps = "8",
            .set = {"model.d_model=32", "model.n_layers=1", "model.d_head=8", "model.d_mem=8", "model.d_ff=48",
                    "train.sequence_length=32", "train.micro_batch=2", "train.accumulate=1", "train.eval_documents=4",
                    "train.eval_share=100", "train.eval_every=4"},
            .seed = 5};
  }

  static inline ScratchFolder* shared_ = nullptr;
  ScratchFolder scratch_;
};

TEST_F(ApiTrainTest, ReportsStepsAndEvaluations) {
  int64_t steps = 0, evaluations = 0;
  double fraction = 0;
  const api::TrainResult result = api::Train(Config("run"), [&](const api::TrainProgress& p) {
    (p.evaluation ? evaluations : steps) += 1;
    EXPECT_EQ(p.step, steps);
    EXPECT_EQ(p.tokens, steps * 64);
    EXPECT_GE(p.fraction, fraction);
    EXPECT_GT(p.loss, 1);
    EXPECT_GT(p.bits_per_byte, 0.5);
    EXPECT_GT(p.tokens_per_s, 0);
    EXPECT_TRUE(ParseJson(std::string(p.line), "line").contains(p.evaluation ? "eval_step" : "step"));
    fraction = p.fraction;
    return true;
  });
  EXPECT_EQ(steps, 8);
  EXPECT_EQ(evaluations, 2);
  EXPECT_EQ(fraction, 1);
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.step, 8);
  EXPECT_EQ(result.results + "\n", ReadFile(scratch_ / "run/results.json"));
  EXPECT_EQ(ParseJson(result.results, "results")["val_bits_per_byte"].get<double>(), result.bits_per_byte);
  EXPECT_EQ(api::Model::Load(result.run).architecture(), "cortex-viii");
}

// Ended by the callback and resumed, it ends bit for bit as a run that was not.
TEST_F(ApiTrainTest, CanBeEndedAndResumed) {
  api::Train(Config("whole"));
  const api::TrainResult ended =
      api::Train(Config("run"), [](const api::TrainProgress& p) { return p.evaluation || p.step < 5; });
  EXPECT_FALSE(ended.finished);
  EXPECT_EQ(ended.step, 5);
  const api::TrainResult result = api::Train({.resume = ended.run});
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(ReadFile(scratch_ / "run/latest/model.safetensors"), ReadFile(scratch_ / "whole/latest/model.safetensors"));
}

// As `train --start`: the values and the shape of the other run, however they are named.
TEST_F(ApiTrainTest, StartsWithTheValuesOfAnotherRun) {
  const std::string first = api::Train(Config("first")).run;
  const std::string out = scratch_ / "second", data = *shared_ / "data";
  const char* settings[] = {
      "optim.lr=0",          "optim.muon_lr=0",    "optim.vector_lr=0",     "train.sequence_length=32",
      "train.micro_batch=2", "train.accumulate=1", "train.eval_documents=4"};
  flashlm_train_config config = {};
  config.data = data.c_str();
  config.out = out.c_str();
  config.start = first.c_str();
  config.preset = "cortex-viii";
  config.steps = "1";
  config.set = settings;
  config.set_count = std::size(settings);
  char* result = nullptr;
  ASSERT_EQ(flashlm_train(&config, nullptr, nullptr, &result), FLASHLM_OK) << flashlm_error();
  flashlm_free(result);
  const auto reading = [](const std::string& run) {
    return api::Model::Load(run).Logits(std::vector<int32_t>{3, 40, 7, 99}, "f32");
  };
  EXPECT_EQ(reading(out), reading(first));  // a step at a rate of 0 changes nothing
  config.preset = nullptr;
  EXPECT_EQ(flashlm_train(&config, nullptr, nullptr, &result), FLASHLM_USAGE);
  EXPECT_NE(std::string(flashlm_error()).find("--preset"), std::string::npos) << flashlm_error();
}

TEST_F(ApiTrainTest, AnExceptionOfTheCallbackEndsItWithAllSaved) {
  struct Enough {};
  EXPECT_THROW(api::Train(Config("run"),
                          [](const api::TrainProgress& p) {
                            if (p.step == 3) throw Enough();
                            return true;
                          }),
               Enough);
  EXPECT_EQ(api::Train({.resume = scratch_ / "run", .steps = "4"}).step, 4);
}

// Also where the engine fails afterwards: here nothing can be saved any more.
TEST_F(ApiTrainTest, TheCallbacksExceptionComesFirst) {
  struct Mine {};
  EXPECT_THROW(api::Train(Config("run"),
                          [&](const api::TrainProgress&) -> bool {
                            std::filesystem::remove_all(scratch_ / "run");
                            WriteFileAtomic(scratch_ / "run", "no folder");
                            throw Mine();
                          }),
               Mine);
}

TEST_F(ApiTrainTest, WhatIsWrongIsSaidBeforeAnyWork) {
  ExpectApiError([&] { api::Train({}); }, Kind::kUsage, "--data DIR and --out RUN");
  api::TrainConfig config = Config("run");
  config.tokens = "1M";
  ExpectApiError([&] { api::Train(config); }, Kind::kUsage, "one budget");
  config = Config("run");
  config.preset = "cortex-vii";
  ExpectApiError([&] { api::Train(config); }, Kind::kUsage, "cortex-viii");
  config = Config("run");
  config.seed = uint64_t{1} << 63;
  ExpectApiError([&] { api::Train(config); }, Kind::kUsage, "--seed 9223372036854775808");
  config = Config("run");
  config.data = scratch_ / "nowhere";
  ExpectApiError([&] { api::Train(config); }, Kind::kFailed, "nowhere");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "run"));
}

TEST_F(ApiTrainTest, MessagesGoToTheHandler) {
  std::string heard;
  api::SetMessageHandler([&](std::string_view line) { heard += std::string(line) + "\n"; });
  api::Train(Config("run"));
  api::SetMessageHandler({});
  EXPECT_NE(heard.find("model: cortex-viii"), std::string::npos) << heard;
  EXPECT_NE(heard.find("done: 8 steps"), std::string::npos) << heard;
  const std::string before = heard;
  api::Train(Config("other"));
  EXPECT_EQ(heard, before);
}

TEST_F(ApiTrainTest, AMessageHandlerMaySetAnother) {
  int first = 0;
  api::SetMessageHandler([&](std::string_view) {
    ++first;
    api::SetMessageHandler({});
  });
  api::Train(Config("run"));
  EXPECT_EQ(first, 1);
}

}  // namespace
}  // namespace flashlm
