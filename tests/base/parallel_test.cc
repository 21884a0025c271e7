#include "base/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace flashlm {
namespace {

class TeamTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { SetThreadCount(GetParam()); }
  void TearDown() override { SetThreadCount(threads_); }

 private:
  int threads_ = ThreadCount();
};

TEST_P(TeamTest, RunsEveryIterationOnce) {
  std::vector<int> counts(1000);
  Team::Run([&] {
    for (const int64_t n : {0, 1, 2, 3, 7, 1000}) {
      ParallelFor(n, [&](int64_t i) { ++counts[static_cast<size_t>(i)]; });
    }
  });
  EXPECT_EQ(counts[0], 5);
  EXPECT_EQ(counts[1], 4);
  EXPECT_EQ(counts[2], 3);
  EXPECT_EQ(counts[6], 2);
  EXPECT_EQ(counts[999], 1);
}

// A later loop sees what an earlier one wrote on other threads.
TEST_P(TeamTest, LoopsFollowEachOther) {
  constexpr int64_t kSize = 64;
  std::vector<int64_t> values(kSize, 1);
  Team::Run([&] {
    for (int round = 0; round < 2000; ++round) {
      std::vector<int64_t> next(kSize);
      ParallelFor(kSize,
                  [&](int64_t i) { next[static_cast<size_t>(i)] = values[static_cast<size_t>((i + 13) % kSize)] + 1; });
      values = next;
    }
  });
  for (const int64_t value : values) EXPECT_EQ(value, 2001);
}

TEST_P(TeamTest, ExceptionsOfTheProgramPass) {
  EXPECT_THROW(Team::Run([] { throw std::runtime_error("stop"); }), std::runtime_error);
  int64_t sum = 0;
  Team::Run([&] { Team::Run([&] { ParallelFor(1, [&](int64_t) { ++sum; }); }); });
  EXPECT_EQ(sum, 1);
}

TEST_P(TeamTest, PiecesKeepToTheirThread) {
  constexpr int64_t kPieces = 7, kSize = 100;
  const int before = ThreadCount();
  std::vector<int64_t> sums(kPieces);
  std::vector<int> threads(kPieces);
  ParallelPieces(kPieces, [&](int64_t i) {
    threads[static_cast<size_t>(i)] = ThreadCount();
    int64_t sum = 0;  // shared by no other thread, so no thread may help with the loop
    ParallelFor(kSize, [&](int64_t k) { sum += k * i; });
    sums[static_cast<size_t>(i)] = sum;
  });
  for (int64_t i = 0; i < kPieces; ++i) {
    EXPECT_EQ(sums[static_cast<size_t>(i)], i * kSize * (kSize - 1) / 2);
    EXPECT_EQ(threads[static_cast<size_t>(i)], 1);
  }
  EXPECT_EQ(ThreadCount(), before);
}

// The first item takes until all others are done: whoever runs it, somebody else runs those that were meant for it.
template <class Loop>
void ExpectThatOthersTakeOver(const Loop& loop) {
  constexpr int64_t kItems = 32;
  std::atomic<int> done = 0;
  bool waited_in_vain = false;
  loop(kItems, [&](int64_t i) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (i == 0 && done < kItems - 1 && !waited_in_vain) {
      std::this_thread::yield();
      waited_in_vain = std::chrono::steady_clock::now() > deadline;
    }
    ++done;
  });
  EXPECT_FALSE(waited_in_vain);
  EXPECT_EQ(done, kItems);
}

TEST_P(TeamTest, NobodyWaitsForWhatOthersCanDo) {
  if (ThreadCount() == 1) GTEST_SKIP() << "there are no others";
  ExpectThatOthersTakeOver([](int64_t n, const auto& body) { ParallelFor(n, body); });
  ExpectThatOthersTakeOver([](int64_t n, const auto& body) { ParallelPieces(n, body); });
}

// OpenMP reads its settings when the process starts: hence another process.
TEST(ProcessSettings, AreLeftAloneAndHeeded) {
  if (std::getenv("OMP_THREAD_LIMIT") != nullptr) {
    EXPECT_EQ(omp_get_max_threads(), 3);  // as OMP_NUM_THREADS says: nothing of ours has touched it
    EXPECT_TRUE(omp_get_dynamic());
    EXPECT_EQ(ThreadCount(), 2);  // a limit counts
    {
      const ExactThreads exact;
      EXPECT_EQ(omp_get_max_threads(), 2);
      EXPECT_FALSE(omp_get_dynamic());
    }
    EXPECT_EQ(omp_get_max_threads(), 3);
    EXPECT_TRUE(omp_get_dynamic());
    return;
  }
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "OMP_THREAD_LIMIT=2 OMP_NUM_THREADS=3 OMP_DYNAMIC=true '" + self +
                              "' --gtest_filter=ProcessSettings.* --gtest_brief=1";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

INSTANTIATE_TEST_SUITE_P(Threads, TeamTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace flashlm
