// What fuzzers start from and what they have found, read again by the ordinary build.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "tests/fuzz/fuzz_target.h"

namespace flashlm {

void PrintTo(const FuzzTarget& target, std::ostream* out) { *out << target.name; }

namespace {

class Replay : public testing::TestWithParam<FuzzTarget> {};

TEST_P(Replay, Corpus) {
  const std::filesystem::path folder = std::filesystem::path(FLASHLM_SOURCE_DIR "/tests/fuzz/corpus") / GetParam().name;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path());
    ++inputs;
    EXPECT_NO_THROW(RunFuzzTarget(GetParam(), ReadFile(entry.path().string())));
  }
  EXPECT_GT(inputs, 1) << folder;
}

// What the list of bad files says must be refused, and what is sound must not: or a target could refuse everything.
TEST_P(Replay, RefusesWhatIsBadAndReadsWhatIsSound) {
  const std::filesystem::path folder = std::filesystem::path(FLASHLM_SOURCE_DIR "/tests/fuzz/corpus") / GetParam().name;
  int sound = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const std::string bytes = ReadFile(entry.path().string());
    if (name.starts_with("bad_")) {
      EXPECT_THROW(GetParam().read(bytes), Error);
    }
    if (name.starts_with("sound")) {
      ++sound;
      EXPECT_NO_THROW(GetParam().read(bytes));
    }
  }
  EXPECT_GT(sound, 0);
}

INSTANTIATE_TEST_SUITE_P(All, Replay, testing::ValuesIn(FuzzTargets()),
                         [](const auto& target) { return std::string(target.param.name); });

// One letter, one blank, one character or mark over and over: what a recursive reader would end the process with.
TEST(Replay, AMegabyteOfOneThing) {
  for (const char* unit : {"a", " ", "\n", "\xe4\xb8\xad", "\xcc\x81", "0", "'", "[", "{\"a\":", "\"", "a=", "[a."}) {
    std::string bytes;
    while (bytes.size() < (1 << 20)) bytes += unit;
    for (const FuzzTarget& target : FuzzTargets()) {
      SCOPED_TRACE(std::string(target.name) + " of " + unit);
      EXPECT_NO_THROW(RunFuzzTarget(target, bytes));
    }
  }
}

}  // namespace
}  // namespace flashlm
