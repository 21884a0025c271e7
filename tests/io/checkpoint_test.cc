#include "io/checkpoint.h"

#include <sys/wait.h>

#include "base/paths.h"
#include "base/progress.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/run_folder.h"
#include "tests/io/io_testing.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

const char* const kAllFiles[] = {"config.json", "model.safetensors", "optimizer.safetensors", "tokenizer.json",
                                 "trainer.json"};

// The weights and the trainer's state are functions of the step, so that a test can tell a mixture.
std::string Publish(const std::string& run, int64_t step, bool is_best = false, int keep = 2) {
  ParamBank bank;
  FillBank(bank, static_cast<uint64_t>(step));
  ParamState moments(bank);
  FillState(bank, moments, static_cast<uint64_t>(step));
  const Json config = {{"architecture", "test"}, {"width", 7}};
  const Json state = {{"step", step}, {"loss", 0.1 * static_cast<double>(step)}, {"cursor", {step, -1}}};
  return PublishCheckpoint(run, step, {config, bank, moments, "{\"vocab\": 1}\n", state}, {.best = is_best}, keep);
}

void ExpectIsStep(const OpenedCheckpoint& opened, int64_t step) {
  EXPECT_EQ(opened.step, step);
  EXPECT_EQ(opened.trainer_state.at("step"), step);
  EXPECT_EQ(opened.trainer_state.at("loss"), 0.1 * static_cast<double>(step));
  ParamBank expected, loaded;
  FillBank(expected, static_cast<uint64_t>(step));
  FillBank(loaded, 12345);
  LoadValues(opened.model_path, loaded);
  ExpectSameArray(expected.values(), loaded.values(), loaded);
  ParamState expected_state(expected), loaded_state(loaded);
  FillState(expected, expected_state, static_cast<uint64_t>(step));
  FillState(loaded, loaded_state, 12345);
  LoadState(opened.optimizer_path, loaded, loaded_state);
  ExpectSameState(expected_state, loaded_state);
}

// What OpenCheckpoint says to the person while it opens the run.
std::string SaidOnOpening(const std::string& run, OpenFor purpose, int64_t expected_step) {
  testing::internal::CaptureStderr();
  const OpenedCheckpoint opened = OpenCheckpoint(run, purpose);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(opened.step, expected_step);
  return said;
}

using Names = std::vector<std::string>;

TEST(Checkpoint, RoundTrip) {
  const Scratch scratch;
  const std::string folder = Publish(scratch / "run", 500);
  EXPECT_EQ(folder, scratch / "run/checkpoints/step_000500");
  EXPECT_EQ(scratch.Names("run"), (Names{"checkpoints", "latest"}));
  EXPECT_EQ(scratch.Names("run/checkpoints/step_000500"), Names(std::begin(kAllFiles), std::end(kAllFiles)));
  EXPECT_EQ(fs::read_symlink(scratch / "run/latest"), "checkpoints/step_000500");

  for (const char* name : {"run", "run/", "run/checkpoints/step_000500", "run/latest"}) {
    const OpenedCheckpoint opened = OpenCheckpoint(scratch / name, OpenFor::kResume);
    ExpectIsStep(opened, 500);
    EXPECT_EQ(opened.config, (Json{{"architecture", "test"}, {"width", 7}}));
    EXPECT_EQ(ReadFile(opened.tokenizer_path), "{\"vocab\": 1}\n");
  }
}

TEST(Checkpoint, ModelFileDescribesItself) {
  const Scratch scratch;
  const SafetensorsFile model(FileIn(Publish(scratch.path(), 1), "model.safetensors"));
  EXPECT_EQ(model.metadata().at("format"), "flashlm");
  EXPECT_EQ(model.metadata().at("config"), R"({"architecture":"test","width":7})");
  EXPECT_EQ(model.metadata().at("tokenizer_sha256"), Sha256("{\"vocab\": 1}\n"));
}

TEST(Checkpoint, KeepsTheNewestAndTheBest) {
  const Scratch scratch;
  for (int64_t step = 100; step <= 600; step += 100) Publish(scratch.path(), step, step == 200);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000200", "step_000500", "step_000600"}));
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kInference).step, 600);
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kBestModel).step, 200);

  Publish(scratch.path(), 700, true, 1);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000700"}));
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kBestModel).step, 700);
}

TEST(Checkpoint, KeepsTheBestHoweverItsLinkIsWritten) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  fs::create_symlink(scratch / "checkpoints/../checkpoints/step_000001", scratch / "best");
  for (int64_t step : {2, 3, 4}) Publish(scratch.path() + "/.", step);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000001", "step_000003", "step_000004"}));
}

TEST(Checkpoint, StepsAreOrderedAsNumbers) {
  const Scratch scratch;
  for (int64_t step : {999'998, 999'999, 1'000'000}) Publish(scratch.path(), step);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_1000000", "step_999999"}));
}

TEST(Checkpoint, BestMeansNewestWhenNoneIsBest) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  Publish(scratch.path(), 2);
  EXPECT_EQ(SaidOnOpening(scratch.path(), OpenFor::kBestModel, 2), "");
}

TEST(Checkpoint, PublishingAStepAgainReplacesIt) {
  const Scratch scratch;
  Publish(scratch.path(), 7);
  FlipByte(scratch / "checkpoints/step_000007/model.safetensors", 300);
  Publish(scratch.path(), 7, true);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000007"}));
  ExpectIsStep(OpenCheckpoint(scratch.path(), OpenFor::kResume), 7);
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kBestModel).step, 7);
}

TEST(Checkpoint, RunCanBeMovedAndCopiedWithoutLinks) {
  const Scratch scratch;
  Publish(scratch / "run", 3, true);
  fs::rename(scratch / "run", scratch / "moved");
  ExpectIsStep(OpenCheckpoint(scratch / "moved", OpenFor::kResume), 3);
  fs::remove(scratch / "moved/latest");
  fs::copy(scratch / "moved/checkpoints/step_000003", scratch / "moved/latest", fs::copy_options::recursive);
  ExpectIsStep(OpenCheckpoint(scratch / "moved", OpenFor::kResume), 3);
  Publish(scratch / "moved", 4);
  EXPECT_TRUE(fs::is_symlink(scratch / "moved/latest"));
  ExpectIsStep(OpenCheckpoint(scratch / "moved", OpenFor::kResume), 4);
}

// What a model has beside its weights and never changes lies on the disk once, and is verified as the rest.
TEST(Checkpoint, AConstantFileIsLinked) {
  const Scratch scratch;
  ParamBank bank;
  FillBank(bank, 1);
  ParamState moments(bank);
  FillState(bank, moments, 1);
  const std::string file = scratch / "ngram.bin";
  WriteFileAtomic(file, std::string(1000, 'n'));
  const CheckpointContent content{Json::object(), bank, moments, "{}", Json::object(), nullptr, file};
  const std::string folder = PublishCheckpoint(scratch.path(), 5, content, {});
  EXPECT_TRUE(fs::equivalent(file, FileIn(folder, "ngram.bin")));
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kBestModel).step, 5);
  fs::remove(file);
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kBestModel).step, 5);
  FlipByte(FileIn(folder, "ngram.bin"), 500);
  EXPECT_NE(ErrorOf([&] { OpenCheckpoint(scratch.path(), OpenFor::kBestModel); }).find("ngram.bin"), std::string::npos);
}

// The average of weights, where a run keeps one.
TEST(Checkpoint, AnAverageIsPartOfIt) {
  const Scratch scratch;
  ParamBank bank;
  FillBank(bank, 1);
  ParamState moments(bank), average(bank);
  FillState(bank, moments, 1);
  FillState(bank, average, 77);
  const std::string folder =
      PublishCheckpoint(scratch.path(), 5, {Json::object(), bank, moments, "{}", Json::object(), &average}, {});
  const OpenedCheckpoint opened = OpenCheckpoint(scratch.path(), OpenFor::kResume);
  ParamState loaded(bank);
  FillState(bank, loaded, 12345);
  LoadState(opened.average_path, bank, loaded);
  ExpectSameState(average, loaded);
  // It is needed to go on, not to use the model.
  FlipByte(FileIn(folder, "average.safetensors"), 500);
  EXPECT_NE(ErrorOf([&] { OpenCheckpoint(scratch.path(), OpenFor::kResume); }).find("average.safetensors"),
            std::string::npos);
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kInference).step, 5);

  Publish(scratch.path(), 6);
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kResume).average_path, "");
}

TEST(Checkpoint, PlainModelFolder) {
  const Scratch scratch;
  ParamBank bank;
  FillBank(bank, 4);
  WriteModelFolder(scratch / "model", {{"architecture", "test"}}, bank, "{}");
  const OpenedCheckpoint opened = OpenCheckpoint(scratch / "model", OpenFor::kInference);
  EXPECT_EQ(opened.step, -1);
  EXPECT_TRUE(opened.trainer_state.is_null());
  EXPECT_EQ(opened.optimizer_path, "");
  EXPECT_EQ(opened.config.at("architecture"), "test");
  ExpectContains(ErrorOf([&] { OpenCheckpoint(scratch / "model", OpenFor::kResume); }), "has no trainer.json");

  Overwrite(scratch / "model/tokenizer.json", "{ }");
  ExpectContains(ErrorOf([&] { OpenCheckpoint(scratch / "model", OpenFor::kInference); }),
                 "is not the tokenizer that 'model.safetensors' was trained with");
  Overwrite(scratch / "model/tokenizer.json", "{}");
  Overwrite(scratch / "model/config.json", "{\"architecture\": \"other\"}");
  ExpectContains(ErrorOf([&] { OpenCheckpoint(scratch / "model", OpenFor::kInference); }),
                 "is not the configuration that 'model.safetensors' was saved with");
  WriteSafetensors(scratch / "model/model.safetensors", {}, {{"format", "pt"}});
  ExpectContains(ErrorOf([&] { OpenCheckpoint(scratch / "model", OpenFor::kInference); }), "is not a model of FlashLM");
}

TEST(Checkpoint, WhatIsNoModelIsRefused) {
  const Scratch scratch;
  const auto error = [&](const std::string& name) {
    return ErrorOf([&] { OpenCheckpoint(scratch / name, OpenFor::kInference); });
  };
  ExpectContains(error("absent"), "there is no folder");
  MakeFolder(scratch / "empty");
  ExpectContains(error("empty"), "is not a model folder: it has no config.json");
  Overwrite(scratch / "file", "x");
  ExpectContains(error("file"), "is a file, not a model folder");
  MakeFolder(scratch / "young");
  Overwrite(scratch / "young/config.toml", "");
  ExpectContains(error("young"), "has no checkpoint yet");
}

// Every byte of every file counts: cut anywhere or flipped anywhere, the previous checkpoint is used.
TEST(Checkpoint, DamageToAnyFileFallsBackToThePrevious) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  const std::string folder = Publish(scratch.path(), 2);
  SetQuiet(true);
  Rng rng(1, Purpose::kTest);
  for (const char* name : kAllFiles) {
    const std::string path = FileIn(folder, name), whole = ReadFile(path);
    for (int i = 0; i < 60; ++i) {
      Overwrite(path, whole.substr(0, rng.Below(whole.size())));
      EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kResume).step, 1) << name;
    }
    for (int i = 0; i < 200; ++i) {
      std::string damaged = whole;
      const size_t at = rng.Below(whole.size());
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << rng.Below(8)));
      Overwrite(path, damaged);
      const OpenedCheckpoint opened = OpenCheckpoint(scratch.path(), OpenFor::kResume);
      // White space between the values of trainer.json carries nothing.
      const bool harmless = opened.step == 2 && std::string(name) == "trainer.json";
      ExpectIsStep(opened, harmless ? 2 : 1);
    }
    fs::remove(path);
    // Without trainer.json a checkpoint is a model folder, from which nothing can be resumed.
    EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kResume).step, 1) << name;
    Overwrite(path, whole);
  }
  SetQuiet(false);
  ExpectIsStep(OpenCheckpoint(scratch.path(), OpenFor::kResume), 2);
}

TEST(Checkpoint, DamageIsNamed) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  const std::string folder = Publish(scratch.path(), 2, true);
  const std::string model = FileIn(folder, "model.safetensors"), whole = ReadFile(model);

  Overwrite(model, whole.substr(0, whole.size() - 4));
  std::string said = SaidOnOpening(scratch.path(), OpenFor::kBestModel, 1);
  ExpectContains(said, fmt::format("'{}' is truncated: it has {} bytes", model, whole.size() - 4));
  ExpectContains(said, "step_000001' instead");
  Overwrite(model, whole);
  FlipByte(model, whole.size() - 5);
  said = SaidOnOpening(scratch.path(), OpenFor::kInference, 1);
  ExpectContains(said, fmt::format("'{}' is damaged: its SHA-256", model));
  // Asked for by its own name, a damaged checkpoint is an error and nothing else is used.
  ExpectContains(ErrorOf([&] { OpenCheckpoint(folder, OpenFor::kInference); }), "is damaged");

  fs::remove(scratch / "checkpoints/step_000001/config.json");
  const std::string error = ErrorOf([&] { OpenCheckpoint(scratch.path(), OpenFor::kResume); });
  ExpectContains(error, "no checkpoint of the run");
  ExpectContains(error, model);
  ExpectContains(error, "step_000001/config.json");
}

TEST(Checkpoint, DamagedOptimizerDoesNotKeepTheModelFromUse) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  FlipByte(FileIn(Publish(scratch.path(), 2), "optimizer.safetensors"), 700);
  EXPECT_EQ(SaidOnOpening(scratch.path(), OpenFor::kInference, 2), "");
  ExpectContains(SaidOnOpening(scratch.path(), OpenFor::kResume, 1), "optimizer.safetensors' is damaged");
}

TEST(Checkpoint, OtherFormatsOfTrainerFileAreRefused) {
  const Scratch scratch;
  const std::string folder = Publish(scratch.path(), 1), path = FileIn(folder, "trainer.json");
  const auto error = [&](Json json, bool sign) {
    if (json.is_object()) json.erase("sha256");
    if (sign) json["sha256"] = Sha256(json.dump());
    Overwrite(path, json.dump());
    return ErrorOf([&] { OpenCheckpoint(folder, OpenFor::kResume); });
  };
  const Json whole = ReadJsonFile(path);
  ExpectContains(error(Json::array(), false), "does not describe a checkpoint");
  ExpectContains(error({{"format", "pt"}}, true), "does not describe a checkpoint");
  ExpectContains(error(whole, false), "is damaged");
  Json changed = whole;
  changed["version"] = 2;
  ExpectContains(error(changed, true), "has format version 2, this program reads 1");
  changed = whole;
  changed["files"].erase("optimizer.safetensors");
  ExpectContains(error(changed, true), "is not among the files");
  changed = whole;
  changed["step"] = "one";
  ExpectContains(error(changed, true), "does not describe a checkpoint");
}

// What a crash may leave: a half-written folder, a folder half-way replaced, links not yet moved.
TEST(Checkpoint, LeftoversOfACrashAreIgnoredThenCleaned) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  MakeFolder(scratch / "checkpoints/step_000002.tmp");
  Overwrite(scratch / "checkpoints/step_000002.tmp/model.safetensors", "half");
  fs::create_symlink("nowhere", scratch / "latest.tmp");
  EXPECT_EQ(SaidOnOpening(scratch.path(), OpenFor::kResume, 1), "");
  Publish(scratch.path(), 2);
  EXPECT_EQ(scratch.Names(), (Names{"checkpoints", "latest"}));
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000001", "step_000002"}));
}

TEST(Checkpoint, CrashWhileAStepIsReplaced) {
  const Scratch scratch;
  const std::string folder = Publish(scratch.path(), 1);
  fs::rename(folder, folder + ".replaced");
  ExpectContains(SaidOnOpening(scratch.path(), OpenFor::kResume, 1), "step_000001.replaced' instead");
  CleanLeftovers(scratch.path());
  EXPECT_EQ(SaidOnOpening(scratch.path(), OpenFor::kResume, 1), "");

  fs::copy(folder, folder + ".replaced", fs::copy_options::recursive);
  CleanLeftovers(scratch.path());
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000001"}));
}

TEST(Checkpoint, MissingOrDanglingLinkUsesTheNewest) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  Publish(scratch.path(), 2);
  fs::remove(scratch / "latest");
  ExpectIsStep(OpenCheckpoint(scratch.path(), OpenFor::kResume), 2);
  fs::create_symlink("checkpoints/step_000009", scratch / "latest");
  ExpectContains(SaidOnOpening(scratch.path(), OpenFor::kResume, 2), "step_000009' is missing");
  Publish(scratch.path(), 3);
  EXPECT_EQ(SaidOnOpening(scratch.path(), OpenFor::kResume, 3), "");
}

// Training went back to step 200 because 300 is damaged. The ruin must not count as one of the newest two.
TEST(Checkpoint, DamagedLaterCheckpointsDoNotPushOutSoundOnes) {
  const Scratch scratch;
  for (int64_t step : {100, 200, 300}) Publish(scratch.path(), step, false, 3);
  fs::remove(scratch / "checkpoints/step_000300/model.safetensors");
  Publish(scratch.path(), 250);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000200", "step_000250"}));
  Publish(scratch.path(), 150);
  EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000150", "step_000200", "step_000250"}));
  EXPECT_EQ(OpenCheckpoint(scratch.path(), OpenFor::kResume).step, 150);
}

TEST(Checkpoint, FullDiskKeepsThePreviousAndSaysSo) {
  const Scratch scratch;
  Publish(scratch.path(), 1);
  for (rlim_t bytes : {0, 100, 1200}) {
    std::string error;
    {
      const FileSizeLimit limit(bytes);
      error = ErrorOf([&] { Publish(scratch.path(), 2, true, 1); });
    }
    ExpectContains(error, "cannot publish the checkpoint of step 2: cannot write");
    ExpectContains(error, "the checkpoint step_000001 is intact");
    EXPECT_EQ(scratch.Names("checkpoints"), (Names{"step_000001"}));
    EXPECT_EQ(scratch.Names(), (Names{"checkpoints", "latest"}));
    ExpectIsStep(OpenCheckpoint(scratch.path(), OpenFor::kResume), 1);
  }
  Publish(scratch.path(), 2);
  ExpectIsStep(OpenCheckpoint(scratch.path(), OpenFor::kResume), 2);
}

TEST(Checkpoint, TextThatIsNotUnicodeIsRefusedWithAnError) {
  const Scratch scratch;
  ParamBank bank;
  FillBank(bank, 1);
  const ParamState state(bank);
  const CheckpointContent content{Json::object(), bank, state, "{}", {{"data", "caf\xe9"}}};
  ExpectContains(ErrorOf([&] { PublishCheckpoint(scratch.path(), 1, content, {}); }), "UTF-8");
  EXPECT_TRUE(scratch.Names("checkpoints").empty());
}

// A child publishes and is killed at a random moment; whatever it left must open, whole, and training must go
// on.
TEST(Checkpoint, KillAtAnyMomentLeavesAUsableCheckpoint) {
  const Scratch scratch;
  const Stopwatch stopwatch;
  Publish(scratch.path(), 0);
  const double longest = 4e6 * stopwatch.Seconds();  // microseconds
  Rng rng(7, Purpose::kTest);
  int64_t last = 0;
  for (int round = 0; round < 200; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // Every other round publishes steps that exist already, so that replacing is hit, too.
      for (int64_t step = last + (round % 2);; ++step) Publish(scratch.path(), step, step % 3 == 0);
    }
    ::usleep(static_cast<useconds_t>(longest * rng.UniformDouble()));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself in round " << round;

    SetQuiet(true);
    const OpenedCheckpoint opened = OpenCheckpoint(scratch.path(), OpenFor::kResume);
    EXPECT_GE(opened.step, last) << "progress was lost in round " << round;
    ExpectIsStep(opened, opened.step);
    EXPECT_LE(OpenCheckpoint(scratch.path(), OpenFor::kBestModel).step, opened.step + 1);
    SetQuiet(false);
    last = opened.step;
  }
  EXPECT_GT(last, 0);
}

// A longer budget goes on from the last checkpoint before the rate fell, however many came after it.
TEST(Checkpoint, TheOneBeforeTheDecayIsKept) {
  const Scratch scratch;
  const std::string run = scratch / "run";
  ParamBank bank;
  FillBank(bank, 1);
  const ParamState moments(bank);
  for (int64_t step = 1; step <= 6; ++step) {
    PublishCheckpoint(run, step, {Json{{"architecture", "test"}}, bank, moments, "{}", Json{{"step", step}}},
                      {.best = step == 3, .before_decay = step <= 2}, 2);
  }
  EXPECT_EQ(scratch.Names("run/checkpoints"), (Names{"step_000002", "step_000003", "step_000005", "step_000006"}));
  EXPECT_EQ(fs::read_symlink(run + "/before_decay"), "checkpoints/step_000002");
}

TEST(Checkpoint, WhatTrainingWentBackBehindIsKeptAsTheBest) {
  const Scratch scratch;
  const std::string run = scratch / "run";
  for (const int64_t step : {1, 2, 3}) Publish(run, step, step == 2, 3);
  PointLink(run, RunLink::kLatest, StepFolderPath(run, 1));
  SupersedeFolder(run, StepFolderPath(run, 3));
  SupersedeFolder(run, StepFolderPath(run, 2));
  ExpectIsStep(OpenCheckpoint(run, OpenFor::kResume), 1);
  const OpenedCheckpoint best = OpenCheckpoint(run, OpenFor::kBestModel);
  ExpectIsStep(best, 2);
  EXPECT_TRUE(IsSuperseded(best.folder));
  Publish(run, 2);  // another model of that step
  Publish(run, 4);
  EXPECT_TRUE(IsSuperseded(OpenCheckpoint(run, OpenFor::kBestModel).folder));
  RemoveSuperseded(run);
  EXPECT_EQ(scratch.Names("run/checkpoints"), (Names{"step_000002", "step_000002.superseded", "step_000004"}));
  Publish(run, 5, true);
  RemoveSuperseded(run);
  EXPECT_EQ(scratch.Names("run/checkpoints"), (Names{"step_000004", "step_000005"}));
}

}  // namespace
}  // namespace flashlm
