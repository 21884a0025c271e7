#include "train/run_log.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"

namespace flashlm {
namespace {

// Log and samples of a run end with the same step, whatever a crash left behind the checkpoint.
TEST(RunLog, DropsLinesAndSamplesAfterTheCheckpoint) {
  std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_log_XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  {
    RunLog log(folder, 0);
    for (int step = 1; step <= 4; ++step) {
      log.Write({{"step", step}});
      log.WriteSample(step, "Once.\n\nThen == step 9\n\nmore.");
    }
  }
  const std::string samples = ReadFile(folder + "/samples.txt");
  WriteFileAtomic(folder + "/samples.txt", samples + "== step 2\ncut o");
  WriteFileAtomic(folder + "/log.jsonl", ReadFile(folder + "/log.jsonl") + "{\"step\": 2");
  { RunLog log(folder, 2); }
  EXPECT_EQ(ReadFile(folder + "/log.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
  const std::string sample = "Once.\n\nThen == step 9\n\nmore.\n\n";
  EXPECT_EQ(ReadFile(folder + "/samples.txt"), "== step 1\n" + sample + "== step 2\n" + sample);
  std::filesystem::remove_all(folder);
}

// The format is checked by a reader of its own in tests/python/test_tensorboard.py.
TEST(RunLog, WritesEventFilesWhereTheyAreAskedFor) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  std::string pattern = (std::filesystem::temp_directory_path() / "flashlm_log_XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  const auto event_files = [&] {
    int64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) bytes += int64_t(entry.file_size());
    }
    return bytes;
  };
  { RunLog(folder, 0).Write({{"step", 1}, {"loss", 2.5}}); }
  EXPECT_EQ(event_files(), 0);
  RunLog log(folder, 1, true);
  const int64_t begun = event_files();
  EXPECT_GT(begun, 0);
  log.Write({{"step", 2}, {"loss", 2.5}, {"verdict", "applied"}});
  // A record's frame of 16 bytes, time 9, step 2, summary 2 + 2, tag 2 + 10, value 5.
  EXPECT_EQ(event_files() - begun, 48);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace flashlm
