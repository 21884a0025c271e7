#include "tensor/arena.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/memory.h"

namespace flashlm {
namespace {

double ResidentMb() {
  double all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

TEST(ArenaTest, PiecesAreAlignedAndApart) {
  Arena arena;
  char* last_end = nullptr;
  for (const size_t bytes : {1u, 64u, 65u, 200u, 4u}) {
    char* piece = static_cast<char*>(arena.Allocate(bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % 64, 0u);
    EXPECT_GE(piece, last_end);
    std::memset(piece, 1, bytes);
    last_end = piece + bytes;
  }
}

// Nothing moves when it grows past a commit step (32 MiB), and what was written stays.
TEST(ArenaTest, GrowsInPlace) {
  Arena arena;
  int* first = arena.AllocateArray<int>(1);
  *first = 42;
  char* large = static_cast<char*>(arena.Allocate(size_t{100} << 20));
  large[0] = large[(size_t{100} << 20) - 1] = 1;
  EXPECT_EQ(*first, 42);
  EXPECT_EQ(arena.peak_bytes(), 64 + (size_t{100} << 20));
}

TEST(ArenaTest, ReleaseIsAStack) {
  Arena arena;
  arena.Allocate(10);
  const size_t mark = arena.Mark();
  void* second = arena.Allocate(10);
  arena.Release(mark);
  EXPECT_EQ(arena.Allocate(500), second);
  arena.Reset();
  EXPECT_EQ(arena.Mark(), 0u);
}

TEST(ArenaTest, GivesBackWhatNothingIsAllocatedIn) {
  constexpr size_t kStep = size_t{32} << 20;
  Arena arena;
  char* kept = static_cast<char*>(arena.Allocate(100));
  std::memset(kept, 7, 100);
  const size_t mark = arena.Mark();
  std::memset(arena.Allocate(4 * kStep), 1, 4 * kStep);
  arena.Release(mark);
  const double before = ResidentMb();
  arena.GiveBack();
  EXPECT_LT(ResidentMb(), before - 90);
  EXPECT_EQ(kept[99], 7);
  char* again = static_cast<char*>(arena.Allocate(4 * kStep));
  again[0] = again[4 * kStep - 1] = 1;
  arena.Reset();
  arena.GiveBack();
  arena.GiveBack();
  EXPECT_NE(arena.Allocate(1), nullptr);
}

// Many of them, under a limit of addresses.
TEST(ArenaTest, LeavesAddressesForOthers) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{size_t{2} << 30, size_t{2} << 30};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    try {
      std::vector<std::unique_ptr<Arena>> arenas;
      for (int i = 0; i < 16; ++i) std::memset(arenas.emplace_back(std::make_unique<Arena>())->Allocate(1000), 1, 1000);
      _exit(0);
    } catch (const Error&) {
      _exit(1);
    }
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Steady memory is counted by peaks that rise: equal rounds after the first count nothing.
TEST(ArenaTest, CountsGrowthOnly) {
  Arena arena;
  const auto round = [&](size_t bytes) {
    arena.Reset();
    arena.Allocate(bytes);
    arena.Allocate(bytes);
  };
  round(1000);
  const int64_t after_first = arena.grow_events();
  EXPECT_EQ(after_first, 2);
  round(1000);
  round(500);
  EXPECT_EQ(arena.grow_events(), after_first);
  EXPECT_EQ(arena.peak_bytes(), 2048u);
  round(2000);
  EXPECT_EQ(arena.grow_events(), after_first + 1);
}

TEST(ArenaTest, SaysWhenMemoryRunsOut) {
  Arena arena;
  // Addresses, and what the kernel would promise though nothing is left to keep it.
  for (const size_t bytes : {size_t{1} << 40, AvailableMemory() + (size_t{1} << 28)}) {
    try {
      arena.Allocate(bytes);
      FAIL() << bytes;
    } catch (const Error& error) {
      EXPECT_NE(error.OneLine().find("out of memory"), std::string::npos);
    }
  }
  EXPECT_NE(arena.Allocate(64), nullptr);  // as usable as before
}

}  // namespace
}  // namespace flashlm
