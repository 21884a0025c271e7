// Whichever thread passes which leaf, the sum is the same, and the memory small.
#include "train/leaf_sums.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "base/parallel.h"
#include "base/rng.h"
#include "objective/objective.h"
#include "tests/train/tiny_training.h"

namespace flashlm {
namespace {

class LeafSumsTest : public testing::Test {
 protected:
  static constexpr int kTokensOfALeaf = 12, kMostLeaves = 16;

  void SetUp() override {
    SetThreadCount(2);
    model_ = TinyForTraining("gpt");
    Rng rng(3, Purpose::kTest);
    for (int i = 0; i <= kMostLeaves * kTokensOfALeaf; ++i) {
      ids_.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(model_->vocab()))));
    }
  }
  void TearDown() override { SetThreadCount(threads_); }

  // The gradient of a step of so many leaves; before_leaf is called by whoever begins one.
  template <class BeforeLeaf>
  std::vector<float> Gradient(int leaves, const BeforeLeaf& before_leaf) {
    ParamBank& bank = model_->bank();
    LeafSums sums(*model_, DType::kF32, false, true);
    bank.ClearGradients();
    sums.Run(leaves, 1, {0, leaves}, [&](Tape& tape, int worker, int leaf, int) {
      before_leaf(worker, leaf);
      const int32_t* tokens = ids_.data() + leaf * kTokensOfALeaf;
      tape.BeginTraining(1, kTokensOfALeaf, 1, static_cast<uint64_t>(leaf));
      Objective().Add(tape, model_->Forward(tape, tokens), tokens, tokens + 1, 0, 1.0, leaves);
      tape.Backward();
    });
    sums.Clear();
    copies_ = sums.copies();
    expected_copies_ = sums.CopiesFor(leaves);
    return {bank.gradients(), bank.gradients() + bank.size()};
  }

  // Where a pass adds the gradient of the bank's first value.
  static float* FirstGradient(Tape& tape) { return tape.ParamGradient(Param{.offset = 0, .rows = 1, .cols = 1}); }

  int copies_ = 0, expected_copies_ = 0;  // of the last Gradient

  std::unique_ptr<Model> model_;

 private:
  int threads_ = ThreadCount();
  std::vector<int32_t> ids_;
};

TEST_F(LeafSumsTest, WhoeverIsHeldUpIsHelpedAndTheBitsAreTheSame) {
  if (ThreadCount() < 2) GTEST_SKIP() << "there is nobody who could help";
  for (const int leaves : {2, 3, 4, 7, 16}) {
    const auto expected = Gradient(leaves, [](int, int) {});
    for (int held_up = 0; held_up < leaves; ++held_up) {
      // This leaf waits until all others have begun.
      std::atomic<int> begun = 0;
      std::atomic<bool> waited_in_vain = false;
      const auto got = Gradient(leaves, [&](int, int leaf) {
        ++begun;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (leaf == held_up && begun < leaves && !waited_in_vain) {
          std::this_thread::yield();
          waited_in_vain = std::chrono::steady_clock::now() > deadline;
        }
      });
      EXPECT_FALSE(waited_in_vain) << held_up << " of " << leaves;
      EXPECT_EQ(got, expected) << held_up << " of " << leaves;
    }
  }
}

TEST_F(LeafSumsTest, MemoryGrowsWithTheLogarithmOfTheLeaves) {
  SetThreadCount(1);
  const int expected[] = {1, 2, 2, 3, 3, 3, 3, 4};
  for (int leaves = 1; leaves <= 8; ++leaves) {
    Gradient(leaves, [](int, int) {});
    EXPECT_EQ(copies_, expected[leaves - 1]) << leaves;
    EXPECT_EQ(expected_copies_, expected[leaves - 1]) << leaves;
  }
  SetThreadCount(2);
  if (ThreadCount() < 2) GTEST_SKIP() << "one thread is all there is";
  // Two threads that begin their leaves together.
  std::barrier together(2);
  Gradient(16, [&](int, int) { together.arrive_and_wait(); });
  EXPECT_EQ(expected_copies_, 5);
  EXPECT_LE(copies_, 6) << "where each thread adds up leaves of its own, 8";
}

// Leaves that take no time: threads meet at every step of the bookkeeping. A leaf's gradient is its number, so that
// whatever is lost, added twice or left from the step before shows.
TEST_F(LeafSumsTest, SmallLeavesAndRangesOfARankAreSummedAgainAndAgain) {
  SetThreadCount(4);
  ParamBank& bank = model_->bank();
  LeafSums sums(*model_, DType::kF32, false, true);
  constexpr int kLeaves = 16;
  for (int round = 0; round < 2000; ++round) {
    const LeafRange range = round % 3 == 0 ? LeafRange{0, kLeaves} : LeafRange{round % 7, 9 + round % 8};
    bank.ClearGradients();
    const int pieces = 1 + round % 3;
    const auto blocks = sums.Run(kLeaves, pieces, range, [&](Tape& tape, int, int leaf, int) {
      *FirstGradient(tape) += static_cast<float>(leaf + 1);
    });
    int next = range.begin;
    for (const GradientBlock& block : blocks) {
      ASSERT_EQ(block.leaves.begin, next);
      next = block.leaves.end;
      const int sum = (block.leaves.begin + 1 + block.leaves.end) * block.leaves.count() / 2;
      ASSERT_EQ(block.sum[0], static_cast<float>(sum * pieces)) << round << ", " << next;
    }
    ASSERT_EQ(next, range.end);
    ASSERT_EQ(blocks.front().sum, bank.gradients());
    sums.Clear();
  }
}

TEST_F(LeafSumsTest, AFailureIsSaidOnceAndLeavesNothing) {
  ParamBank& bank = model_->bank();
  LeafSums sums(*model_, DType::kF32, false, true);
  const auto pass = [this](bool fails) {
    return [this, fails](Tape& tape, int, int leaf, int) {
      *FirstGradient(tape) += 1.0f;
      if (fails && leaf >= 3) throw std::runtime_error("no");
    };
  };
  bank.ClearGradients();
  EXPECT_THROW(sums.Run(8, 1, {0, 8}, pass(true)), std::runtime_error);
  bank.ClearGradients();
  const auto blocks = sums.Run(8, 1, {0, 8}, pass(false));
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(blocks[0].sum[0], 8.0f);
}

}  // namespace
}  // namespace flashlm
