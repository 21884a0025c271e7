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

}  // namespace
}  // namespace flashlm
