#include "tensor/state.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace flashlm {
namespace {

TEST(StateTest, SlotsStartEmptyAndStay) {
  State state(3);
  float* slot = state.Slot(2, 4);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(slot[i], 0);
  slot[11] = 5;
  EXPECT_EQ(state.Slot(2, 4)[11], 5);
  EXPECT_EQ(state.Bytes(), static_cast<int64_t>(12 * sizeof(float)));
}

TEST(StateTest, ACopyIsAForkOfTheStream) {
  State state(2);
  state.Slot(0, 1)[1] = 1;
  state.Advance(7);
  State fork = state;
  fork.Slot(0, 1)[1] = 2;
  fork.Advance(1);
  EXPECT_EQ(state.Slot(0, 1)[1], 1);
  EXPECT_EQ(state.position(1), 7);
  EXPECT_EQ(fork.position(0), 8);
}

TEST(StateTest, ResetForgetsAndKeepsTheMemory) {
  State state(2);
  float* slot = state.Slot(1, 3);
  slot[4] = 9;
  state.Advance(3);
  state.Reset();
  EXPECT_EQ(state.Slot(1, 3), slot);
  EXPECT_EQ(slot[4], 0);
  EXPECT_EQ(state.positions()[0], 0);
  EXPECT_EQ(state.rows(), 2);
}

// Rows of which every float says whose it is.
State Named(std::initializer_list<float> names, int64_t position) {
  State state(static_cast<int>(names.size()));
  int row = 0;
  for (const float name : names) {
    for (int i = 0; i < 2; ++i) state.Slot(0, 2)[2 * row + i] = name;
    state.Slot(2, 1)[row++] = -name;
  }
  state.Advance(static_cast<int>(position));
  return state;
}

void ExpectRows(State& state, const std::vector<float>& names, const std::vector<int64_t>& positions) {
  ASSERT_EQ(state.rows(), static_cast<int>(names.size()));
  for (size_t row = 0; row < names.size(); ++row) {
    EXPECT_EQ(state.Slot(0, 2)[2 * row], names[row]);
    EXPECT_EQ(state.Slot(0, 2)[2 * row + 1], names[row]);
    EXPECT_EQ(state.Slot(2, 1)[row], -names[row]);
    EXPECT_EQ(state.position(static_cast<int>(row)), positions[row]);
  }
}

TEST(StateTest, StreamsComeAndGo) {
  State state(0);
  state.Append(Named({1, 2}, 5));
  state.Append(Named({3}, 8));
  ExpectRows(state, {1, 2, 3}, {5, 5, 8});
  state.Remove(0);
  ExpectRows(state, {3, 2}, {8, 5});
  state.Remove(1);
  ExpectRows(state, {3}, {8});
  state.Append(Named({4}, 1));
  ExpectRows(state, {3, 4}, {8, 1});
  state.Remove(0);
  state.Remove(0);
  EXPECT_EQ(state.rows(), 0);
  EXPECT_EQ(state.Bytes(), 0);
  state.Append(Named({5}, 2));
  ExpectRows(state, {5}, {2});
}

TEST(StateTest, AStreamThatHasReadNothingHasEmptySlots) {
  State state = Named({1}, 5);
  state.Append(State(1));
  EXPECT_EQ(state.Slot(0, 2)[2], 0);
  EXPECT_EQ(state.Slot(2, 1)[1], 0);
  State fresh(1);
  fresh.Append(Named({1}, 5));
  EXPECT_EQ(fresh.Slot(0, 2)[1], 0);
  EXPECT_EQ(fresh.Slot(0, 2)[2], 1);
  EXPECT_EQ(fresh.position(0), 0);
}

}  // namespace
}  // namespace flashlm
