// The tape's bookkeeping: gradients of columns, memory that is used again, dropout sites, slots of the state, packs.
#include "autograd/tape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "autograd/ops.h"

namespace flashlm {
namespace {

constexpr int kRows = 3, kCols = 20;

class TapeTest : public testing::Test {
 protected:
  TapeTest() : packs_(bank_), tape_(bank_, packs_, DType::kF32) { bank_.Allocate(true); }

  // A tensor in a step whose memory for gradients is full of NaN.
  Tensor InSpoiledMemory(int cols = kCols) {
    values_.assign(static_cast<size_t>(kRows * cols), 1.0f);
    std::vector<float> nan(values_.size() * 64, std::numeric_limits<float>::quiet_NaN());
    tape_.BeginTraining(1, kRows, 1, 1);
    tape_.Seed(tape_.Wrap(nan.data(), kRows * 64, cols), nan.data());
    tape_.BeginTraining(1, kRows, 1, 1);
    return tape_.Wrap(values_.data(), kRows, cols);
  }
  // dL/d columns [begin, end) of x += value.
  void Add(const Tensor& x, int begin, int end, float value) {
    const std::vector<float> gradient(static_cast<size_t>(kRows * (end - begin)), value);
    tape_.Seed(Tape::Columns(x, begin, end - begin), gradient.data());
  }
  void ExpectGradient(const Tensor& x, const std::vector<float>& of_row) {
    const kernels::Matrix gradient = tape_.GradientOf(x);
    for (int r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < of_row.size(); ++c) {
        EXPECT_EQ(gradient.Row<float>(r)[c], of_row[c]) << "row " << r << ", column " << c;
      }
    }
  }

  ParamBank bank_;
  WeightPacks packs_;
  Tape tape_;
  std::vector<float> values_;
};

TEST_F(TapeTest, ColumnsThatNobodyWritesAreZero) {
  const Tensor x = InSpoiledMemory(10);
  Add(x, 6, 8, 2);
  Add(x, 2, 5, 1);
  ExpectGradient(x, {0, 0, 1, 1, 1, 0, 2, 2, 0, 0});
}

TEST_F(TapeTest, ColumnsUpToBothEndsNeedNoZeros) {
  const Tensor x = InSpoiledMemory(4);
  Add(x, 2, 4, 2);
  Add(x, 0, 2, 1);
  ExpectGradient(x, {1, 1, 2, 2});
}

TEST_F(TapeTest, OverlappingColumnsAdd) {
  const Tensor x = InSpoiledMemory(8);
  Add(x, 1, 4, 1);
  Add(x, 3, 6, 2);   // one column in common
  Add(x, 2, 3, 4);   // inside
  Add(x, 0, 8, 10);  // around all
  ExpectGradient(x, {10, 11, 15, 13, 12, 12, 10, 10});
}

TEST_F(TapeTest, MoreRangesThanASlotRemembers) {
  const Tensor x = InSpoiledMemory(kCols);
  std::vector<float> expected(kCols, 0.0f);
  for (int c = 0; c < kCols; c += 2) {
    Add(x, c, c + 1, static_cast<float>(c + 1));
    expected[static_cast<size_t>(c)] = static_cast<float>(c + 1);
  }
  ExpectGradient(x, expected);
}

// A writer that adds by itself waits for one that is still open.
TEST_F(TapeTest, TwoOpenWritersOfOneTensor) {
  const Tensor x = InSpoiledMemory(2);
  Add(x, 0, 2, 1);
  for (const auto kernel : {GradientWriter::Kernel::kOverwrites, GradientWriter::Kernel::kCanAdd}) {
    GradientWriter first(tape_, x, kernel), second(tape_, x, GradientWriter::Kernel::kCanAdd);
    EXPECT_FALSE(second.accumulate());
    for (GradientWriter* writer : {&first, &second}) {
      for (int r = 0; r < kRows; ++r) {
        for (int c = 0; c < 2; ++c) {
          float& to = writer->matrix().Row<float>(r)[c];
          to = (writer->accumulate() ? to : 0.0f) + 10;
        }
      }
    }
  }
  ExpectGradient(x, {41, 41});
}

// y = x + branch hands its gradient's memory to x, written ranges included; a chain needs two blocks at a time.
TEST_F(TapeTest, MemoryOfGradientsIsUsedAgain) {
  constexpr int kLayers = 40;
  for (int step = 0; step < 2; ++step) {
    const size_t before = tape_.gradient_bytes();
    tape_.BeginTraining(1, kRows, 1, 1);
    std::vector<float> ones(static_cast<size_t>(kRows * kCols), 1.0f);
    const Tensor x = tape_.Wrap(ones.data(), kRows, kCols);
    Tensor h = x;
    for (int i = 0; i < kLayers; ++i) h = AddDropout(tape_, h, ReluSquared(tape_, h), 0);
    tape_.Seed(h, ones.data());
    tape_.Backward();
    EXPECT_LT(tape_.gradient_bytes() - before, 8 * sizeof(float) * kRows * kCols);
    for (int i = 0; i < kRows * kCols; ++i) EXPECT_TRUE(static_cast<float*>(tape_.GradientOf(x).data)[i] > 1);
  }
}

// x is read by two operations whose gradients are alive at the same time; a block given out twice would mix them.
TEST_F(TapeTest, LivingGradientsHaveMemoryOfTheirOwn) {
  tape_.BeginTraining(1, kRows, 1, 1);
  std::vector<float> ones(static_cast<size_t>(kRows * kCols), 1.0f), twos(ones.size(), 2.0f), threes(ones.size(), 3.0f);
  const Tensor a = tape_.Wrap(ones.data(), kRows, kCols), b = tape_.Wrap(twos.data(), kRows, kCols),
               c = tape_.Wrap(threes.data(), kRows, kCols);
  // Each branch has a slope of its own, and its gradient is freed when the next one is made.
  Tensor y = AddDropout(tape_, ReluSquared(tape_, a), ReluSquared(tape_, b), 0);
  y = AddDropout(tape_, y, ReluSquared(tape_, ReluSquared(tape_, c)), 0);
  tape_.Seed(y, ones.data());
  tape_.Backward();
  EXPECT_EQ(*static_cast<float*>(tape_.GradientOf(a).data), 2);
  EXPECT_EQ(*static_cast<float*>(tape_.GradientOf(b).data), 4);
  EXPECT_EQ(*static_cast<float*>(tape_.GradientOf(c).data), 108);  // 4 c^3
  EXPECT_NE(tape_.GradientOf(a).data, tape_.GradientOf(b).data);
}

TEST_F(TapeTest, EveryDropoutSiteDrawsAnew) {
  const auto sites = [&](uint64_t seed, uint64_t step) {
    tape_.BeginTraining(1, kRows, seed, step);
    std::vector<kernels::Dropout> all;
    for (const double p : {0.5, 0.0, 0.5, 0.25}) all.push_back(tape_.NextDropout(p));
    return all;
  };
  const auto first = sites(1, 1), again = sites(1, 1), other_step = sites(1, 2), other_seed = sites(2, 1);
  std::set<std::pair<uint32_t, uint32_t>> keys;
  for (const size_t i : {0, 2, 3}) keys.insert({first[i].key.low, first[i].key.high});
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_EQ(first[1].p, 0);
  EXPECT_EQ(first[3].p, 0.25f);
  for (const size_t i : {0, 2, 3}) {
    EXPECT_EQ(again[i].key.high, first[i].key.high);
    EXPECT_EQ(again[i].key.low, first[i].key.low);
    EXPECT_NE(other_step[i].step, first[i].step);
    EXPECT_TRUE(other_seed[i].key.low != first[i].key.low || other_seed[i].key.high != first[i].key.high);
  }
  tape_.BeginInference(1, kRows, nullptr);
  EXPECT_EQ(tape_.NextDropout(0.5).p, 0);
}

// What two sites drop is independent: about a quarter of the elements survives both.
TEST_F(TapeTest, MasksOfTwoSitesAreIndependent) {
  constexpr int kMany = 4000;
  std::vector<float> ones(kMany, 1.0f);
  tape_.BeginTraining(1, 1, 3, 1);
  const Tensor x = tape_.Wrap(ones.data(), 1, kMany);
  const Tensor a = Dropout(tape_, x, 0.5), b = Dropout(tape_, x, 0.5);
  int both = 0;
  for (int i = 0; i < kMany; ++i) both += a.f32()[i] != 0 && b.f32()[i] != 0;
  EXPECT_NEAR(both, kMany / 4, 5 * std::sqrt(kMany * 3.0 / 16));
}

TEST_F(TapeTest, SlotsOfTheStateComeInOrder) {
  State state(2);
  tape_.BeginInference(2, 1, &state);
  float *first = tape_.Slot(3), *second = tape_.Slot(5);
  EXPECT_NE(first, second);
  first[5] = 7;  // the last float of the second stream
  tape_.BeginInference(2, 1, &state);
  EXPECT_EQ(tape_.Slot(3), first);
  EXPECT_EQ(tape_.Slot(5), second);
  EXPECT_EQ(first[5], 7);
  tape_.BeginInference(2, 1, nullptr);
  EXPECT_EQ(tape_.Slot(3), nullptr);
  EXPECT_EQ(tape_.positions(), nullptr);
}

TEST_F(TapeTest, RefusesWhatCannotBe) {
  State state(2);
  EXPECT_THROW(tape_.BeginInference(3, 1, &state), Error);
  EXPECT_THROW(tape_.BeginTraining(0, 1, 1, 1), Error);
  tape_.BeginInference(1, 1, nullptr);
  EXPECT_THROW(tape_.Backward(), Error);
  Tape int8(bank_, packs_, DType::kI8);
  EXPECT_EQ(int8.dtype(), DType::kBF16);
  EXPECT_TRUE(int8.int8_products());
  EXPECT_THROW(int8.BeginTraining(1, 1, 1, 1), Error);
}

// A step forgets the last one: what was recorded does not run again, and no gradient is left.
TEST_F(TapeTest, AStepForgetsTheLast) {
  std::vector<float> ones(static_cast<size_t>(kRows * kCols), 1.0f);
  tape_.BeginTraining(1, kRows, 1, 1);
  const Tensor old = ReluSquared(tape_, tape_.Wrap(ones.data(), kRows, kCols));
  tape_.Seed(old, ones.data());
  tape_.BeginTraining(1, kRows, 1, 1);
  const Tensor x = tape_.Wrap(ones.data(), kRows, kCols);
  EXPECT_FALSE(tape_.HasGradient(x));
  tape_.Backward();
  EXPECT_FALSE(tape_.HasGradient(x));
}

class WeightPacksTest : public testing::Test {
 protected:
  WeightPacksTest() : packs_(bank_), tape_(bank_, packs_, DType::kF32) {
    first_ = bank_.Add({"first", {2, kIn}, Role::kMatrix, Init::Zero()});
    second_ = bank_.Add({"second", {2, kIn}, Role::kMatrix, Init::Zero()}, true);
    both_ = first_;
    both_.rows = 4;
    ternary_ = bank_.Add({"ternary", {2, kIn}, Role::kMatrix, {}, 1, {kernels::Ternary::kMean, false}});
    bank_.Allocate(true);
    Set(first_, 1);
    Set(second_, 2);
    Set(ternary_, 0.25f);
  }

  void Set(const Param& p, float value) { std::fill_n(bank_.Value(p), p.rows * p.cols, value); }
  // The first output of the map for an input of ones.
  float Product(const Param& p) {
    tape_.BeginInference(1, 1, nullptr);
    std::vector<float> ones(kIn, 1.0f);
    return Linear(tape_, tape_.Wrap(ones.data(), 1, kIn), p).f32()[p.rows - 1];
  }

  static constexpr int kIn = 8;
  ParamBank bank_;
  WeightPacks packs_;
  Tape tape_;
  Param first_, second_, both_, ternary_;
};

TEST_F(WeightPacksTest, AreRenewedWhenTheBankChanges) {
  EXPECT_EQ(Product(first_), kIn);
  EXPECT_EQ(Product(second_), 2 * kIn);
  EXPECT_EQ(Product(ternary_), 0.25f * kIn);
  for (const float value : {3.0f, 5.0f}) {
    Set(first_, value);
    Set(second_, value + 1);
    Set(ternary_, -value);
    bank_.Touch();
    EXPECT_EQ(Product(second_), (value + 1) * kIn);  // in another order than before
    EXPECT_EQ(Product(ternary_), -value * kIn);
    EXPECT_EQ(Product(first_), value * kIn);
  }
}

// A handle of several neighbours begins where its first parameter does.
TEST_F(WeightPacksTest, KnowHandlesApartThatBeginAtOnePlace) {
  EXPECT_EQ(Product(first_), kIn);
  EXPECT_EQ(Product(both_), 2 * kIn);
  EXPECT_EQ(Product(first_), kIn);
}

TEST_F(WeightPacksTest, KeepOneCopyOfEachTypeAndWeight) {
  WeightPacks::Reader reader(packs_), neighbour(packs_);
  const PackedLinear* f32 = &reader.Get(first_, DType::kF32);
  const PackedLinear* bf16 = &reader.Get(first_, DType::kBF16);
  const PackedLinear* other = &reader.Get(second_, DType::kF32);
  EXPECT_NE(f32, bf16);
  EXPECT_NE(f32, other);
  for (int turn = 0; turn < 2; ++turn) {
    for (WeightPacks::Reader* some : {&neighbour, &reader}) {
      EXPECT_EQ(&some->Get(second_, DType::kF32), other);
      EXPECT_EQ(&some->Get(first_, DType::kBF16), bf16);
      EXPECT_EQ(&some->Get(first_, DType::kF32), f32);
    }
    bank_.Touch();
  }
}

// Threads that read side by side, after every change, with and without everything made before: whoever asks first makes
// it, and nobody reads what is half made or old.
TEST_F(WeightPacksTest, AreSharedByThreads) {
  Tape other(bank_, packs_, DType::kF32);
  for (int round = 0; round < 60; ++round) {
    const auto value = static_cast<float>(round);
    Set(first_, value);
    Set(ternary_, -value);
    bank_.Touch();
    if (round % 2 == 0) packs_.Renew();
    const auto read = [&](Tape& tape) {
      for (const Param* p : {&first_, &ternary_}) {
        const float weight = p == &first_ ? value : -value;
        for (const int rows : {1, 40}) {
          tape.BeginTraining(1, rows, 1, 1);
          std::vector<float> ones(static_cast<size_t>(rows) * kIn, 1.0f);
          const Tensor x = tape.Wrap(ones.data(), rows, kIn), y = Linear(tape, x, *p);
          EXPECT_EQ(y.matrix().Row<float>(rows - 1)[1], weight * kIn) << round;
          GradientsApart apart(bank_);
          tape.SetGradients(&apart);
          tape.Seed(y, ones.data());
          tape.Backward();
          EXPECT_EQ(tape.GradientOf(x).Row<float>(rows - 1)[kIn - 1], 2 * weight) << round;
          tape.SetGradients(nullptr);
        }
      }
    };
    std::thread neighbour([&] { read(other); });
    read(tape_);
    neighbour.join();
  }
}

TEST_F(WeightPacksTest, OfTernaryMatricesHoldTritsAndScales) {
  Set(ternary_, -0.5f);
  bank_.Touch();
  WeightPacks::Reader reader(packs_);
  const PackedLinear& packed = reader.Get(ternary_, DType::kF32);
  ASSERT_EQ(packed.scales.size(), 2u);
  EXPECT_FLOAT_EQ(packed.scales[0], 0.5f);
  EXPECT_FLOAT_EQ(packed.scales[1], 0.5f);
}

}  // namespace
}  // namespace flashlm
