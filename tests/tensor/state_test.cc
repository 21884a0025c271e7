#include "tensor/state.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace flashlm
