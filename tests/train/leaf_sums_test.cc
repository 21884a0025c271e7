// Threads that take over each other's passes make the same sum.
#include "train/leaf_sums.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
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
    sums.Run(leaves, {0, leaves}, [&](Tape& tape, int worker, int leaf) {
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

  int copies_ = 0, expected_copies_ = 0;  // of the last Gradient

 private:
  int threads_ = ThreadCount();
  std::unique_ptr<Model> model_;
  std::vector<int32_t> ids_;
};

TEST_F(LeafSumsTest, WhoeverIsHeldUpIsHelpedAndTheBitsAreTheSame) {
  if (ThreadCount() < 2) GTEST_SKIP() << "there is nobody who could help";
  for (const int leaves : {2, 3, 4, 7, 16}) {
    const auto expected = Gradient(leaves, [](int, int) {});
    for (int held_up = 0; held_up < leaves; ++held_up) {
      // This leaf waits until all others have begun, its own thread's among them.
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
  Gradient(16, [](int, int) {});
  EXPECT_EQ(expected_copies_, 5);
  EXPECT_LE(copies_, 8) << "one leaf behind the others, or more";
}

}  // namespace
}  // namespace flashlm
