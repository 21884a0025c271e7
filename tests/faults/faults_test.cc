// Loading and saving with failures injected at the n-th allocation and the n-th system call, for every n: an error,
// never a crash; what was on the disk is what it was, or what it was to become.
#include "data/shards.h"
#include "infer/loaded_model.h"
#include "io/bank_files.h"
#include "io/checkpoint.h"
#include "io/model_folder.h"
#include "tests/faults/fault_testing.h"
#include "tests/infer/tiny_model.h"

namespace flashlm {
namespace {

TEST_P(Faults, LoadingAModel) {
  const std::unique_ptr<Model> model = TinyModel(FindModel("gpt"));
  const std::string folder = scratch_ / "model";
  WriteModelFolder(folder, model->config(), model->bank(), TinyTokenizer().ToJson());
  const int64_t failures = ForEachFault(
      GetParam(), [&] { LoadModel(folder); }, [](bool) {});
  EXPECT_TRUE(failures > 3 || GetParam() != Fault::kIo) << failures;
  EXPECT_EQ(LoadModel(folder).model->config(), model->config());
}

TEST_P(Faults, OpeningData) {
  const std::string hash = TinyTokenizer().Hash();
  ShardWriter writer(scratch_ / ".", "train", 290, hash);
  writer.Append(std::vector<uint16_t>{5, 6, 7, 3});
  const Json split = {{"shards", writer.Finish()}, {"tokens", 4}};
  Overwrite(scratch_ / "meta.json", Json{{"format", "flashlm-data"},
                                         {"version", kDataVersion},
                                         {"tokenizer", {{"vocab_size", 290}, {"sha256", hash}}},
                                         {"train", split}}
                                        .dump());
  ForEachFault(
      GetParam(), [&] { TokenData(scratch_ / ".", "train"); }, [](bool) {});
}

// The old file or the new one, and nothing beside it.
TEST_P(Faults, ReplacingAFile) {
  const std::string path = scratch_ / "folder/file", old_text = "old", new_text(100000, 'n');
  MakeFolder(scratch_ / "folder");
  const int64_t failures = ForEachFault(
      GetParam(), [&] { WriteFileAtomic(path, new_text); },
      [&](bool done) {
        const bool there = fs::exists(path);
        const std::string text = there ? ReadFile(path) : "";
        EXPECT_TRUE(text == new_text || (!done && (text == old_text || !there)));
        for (const auto& entry : fs::directory_iterator(scratch_ / "folder")) EXPECT_EQ(entry.path(), path);
        WriteFileAtomic(path, old_text);
      });
  EXPECT_EQ(failures > 0, GetParam() == Fault::kIo || GetParam() == Fault::kFullDisk);
}

// A checkpoint on top of another: whatever fails, one of them can be resumed from, whole.
TEST_P(Faults, PublishingACheckpoint) {
  const std::string run = scratch_ / "run";
  const auto publish = [&](int64_t step) {
    ParamBank bank;
    FillBank(bank, static_cast<uint64_t>(step));
    ParamState moments(bank);
    FillState(bank, moments, static_cast<uint64_t>(step));
    PublishCheckpoint(run, step, {{{"architecture", "test"}}, bank, moments, "{}\n", {{"step", step}}},
                      {.best = step % 2 == 0});
  };
  publish(1);
  int64_t newest = 1;
  ForEachFault(
      GetParam(), [&] { publish(newest + 1); },
      [&](bool done) {
        const OpenedCheckpoint opened = OpenCheckpoint(run, OpenFor::kResume);
        EXPECT_TRUE(opened.step == newest + 1 || (!done && opened.step == newest)) << opened.step;
        EXPECT_EQ(opened.trainer_state.at("step"), opened.step);
        ParamBank expected, loaded;
        FillBank(expected, static_cast<uint64_t>(opened.step));
        FillBank(loaded, 12345);
        LoadValues(opened.model_path, loaded);
        ExpectSameArray(expected.values(), loaded.values(), loaded);
        EXPECT_GT(OpenCheckpoint(run, OpenFor::kBestModel).step, 0);
        newest = opened.step;
      });
}

TEST_P(Faults, SavingATokenizer) {
  const std::string path = scratch_ / "tokenizer.json";
  const Tokenizer& tokenizer = TinyTokenizer();
  ForEachFault(
      GetParam(), [&] { tokenizer.Save(path); },
      [&](bool done) {
        if (done || fs::exists(path)) {
          EXPECT_EQ(Tokenizer::Load(path).Hash(), tokenizer.Hash());
        }
      });
}

INSTANTIATE_TEST_SUITE_P(All, Faults, testing::ValuesIn(kAllFaults), NameOfFault);

}  // namespace
}  // namespace flashlm
