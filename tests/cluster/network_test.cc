// What steps on several machines take, from what they take on one and the network: by hand.
#include "cluster/network.h"

#include <gtest/gtest.h>

namespace flashlm {
namespace {

// 8 s of passes and 2 s of update for 8 sequences; 100 values of a byte, 10 a second.
constexpr Link kLink{0.25, 10};
const StepCost kCost{.passes = 8,
                     .optimizer = 2,
                     .sequences = 8,
                     .parameters = 100,
                     .step_bytes = 1,
                     .difference_bytes = 1,
                     .leaves = 8};

TEST(Network, OneMachineExchangesNothing) { EXPECT_DOUBLE_EQ(StepSeconds(kCost, kLink, 1), 10); }

TEST(Network, WithoutMoreKnowledgeExchangeAndPassesAddUp) {
  // Half of the passes, of the gradients and of the values, the first of which wait for a sixth of half of the update;
  // eight messages.
  EXPECT_DOUBLE_EQ(StepSeconds(kCost, kLink, 2), 4 + 5 + 1.0 / 6 + 5 + 8 * 0.25);
  // Three of the eight sequences.
  EXPECT_DOUBLE_EQ(StepSeconds(kCost, kLink, 3), 3 + 20.0 / 3 + 2.0 / 3 / 6 + 20.0 / 3 + 2);
  EXPECT_DOUBLE_EQ(LocalStepSeconds(kCost, kLink, 2, 10), 4 + 2 + (10 + 7 * 0.25) / 10);
}

TEST(Network, WhatIsHiddenIsWhatAStepDoesNotWaitFor) {
  EXPECT_EQ(HiddenSeconds(kCost, kLink, 1), 0);
  EXPECT_NEAR(HiddenSeconds(kCost, kLink, 2), 5.0 / 6, 1e-9);  // of half of the update
  StepCost cost = kCost;
  cost.completed = {{0.5, 40}, {1, 60}};
  EXPECT_NEAR(HiddenSeconds(cost, kLink, 2), 0.5 + 5.0 / 6, 1e-9);
}

TEST(Network, WhatIsCompleteTravelsDuringTheLastPass) {
  StepCost cost = kCost;
  cost.completed = {{0.5, 40}, {1, 60}};
  // Four passes of a second, one after the other: 40 values from 3.5 s on until 5.5, the others until 8.5.
  EXPECT_DOUBLE_EQ(StepSeconds(cost, kLink, 2), 8.5 + 1.0 / 6 + 5 + 2);
  // All four at once, from 2 s on until 4; the others until 7.
  cost.side_by_side = 4;
  EXPECT_DOUBLE_EQ(StepSeconds(cost, kLink, 2), 7 + 1.0 / 6 + 5 + 2);
  // A fast network waits for the passes, and for the update.
  EXPECT_DOUBLE_EQ(StepSeconds(cost, {0, 1e9}, 2), 4 + 60 / 2e9 + 1 + 100 / 2e9 / 6);
}

}  // namespace
}  // namespace flashlm
