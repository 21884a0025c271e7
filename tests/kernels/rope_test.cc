#include "kernels/rope/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

#include "base/error.h"

namespace flashlm::kernels {
namespace {

void ExpectRow(const RopeTable& table, int head_dim, int64_t position) {
  std::vector<float> scratch(head_dim);
  const float* row = table.Row(position, scratch.data());
  for (int i = 0; i < head_dim / 2; ++i) {
    const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * i / head_dim);
    EXPECT_FLOAT_EQ(row[i], static_cast<float>(std::cos(angle))) << position << " " << i;
    EXPECT_FLOAT_EQ(row[head_dim / 2 + i], static_cast<float>(std::sin(angle))) << position << " " << i;
  }
}

TEST(Rope, RowsAreRightInAndBeyondTheTable) {
  RopeTable table(6, Rope::kHalf);
  for (int64_t end : {0, 1, 512, 513, 5000, 70000}) {
    table.Prepare(end);
    for (int64_t position : {0, 1, 511, 512, 513, 1023, 1024, 4999, 65535, 65536, 1000003}) {
      ExpectRow(table, 6, position);
    }
  }
}

TEST(Rope, RowsStayWhereTheyAre) {
  RopeTable table(8, Rope::kHalf);
  float scratch[8];
  table.Prepare(10);
  const float* before = table.Row(9, scratch);
  EXPECT_NE(before, scratch);
  table.Prepare(RopeTable::kEnd);
  EXPECT_EQ(table.Row(9, scratch), before);
  EXPECT_EQ(table.Row(RopeTable::kEnd, scratch), scratch);
}

TEST(Rope, ThreadsMayGrowOneTable) {
  RopeTable table(16, Rope::kHalf);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&table, i] {
      for (int64_t end = 1; end < 20000; end += 997 * (i + 1)) {
        table.Prepare(end);
        ExpectRow(table, 16, end - 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Rope, OddWidthIsAnError) { EXPECT_THROW(RopeTable::For(7, Rope::kHalf), Error); }

}  // namespace
}  // namespace flashlm::kernels
