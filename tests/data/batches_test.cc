#include "data/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

TokenData Counting(int n) {
  std::vector<uint16_t> tokens(n);
  std::iota(tokens.begin(), tokens.end(), uint16_t{0});
  return TokenData::FromTokens(tokens, n);
}

TEST(IndexPermutation, IsABijection) {
  for (const uint64_t n : {1, 2, 3, 4, 5, 7, 16, 17, 100, 1000, 4097}) {
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      const IndexPermutation order(n, 1, epoch);
      std::set<uint64_t> seen;
      for (uint64_t i = 0; i < n; ++i) {
        EXPECT_LT(order(i), n);
        seen.insert(order(i));
      }
      EXPECT_EQ(seen.size(), n);
    }
  }
}

TEST(IndexPermutation, DiffersBetweenEpochsAndSeedsAndMixes) {
  constexpr uint64_t kN = 10'000;
  const IndexPermutation a(kN, 1, 0), b(kN, 1, 1), c(kN, 2, 0);
  int same_b = 0, same_c = 0, neighbours = 0;
  double sum = 0;
  for (uint64_t i = 0; i < kN; ++i) {
    same_b += a(i) == b(i);
    same_c += a(i) == c(i);
    neighbours += i > 0 && a(i) == a(i - 1) + 1;
    if (i < kN / 2) sum += static_cast<double>(a(i));
  }
  EXPECT_LT(same_b, 12);
  EXPECT_LT(same_c, 12);
  EXPECT_LT(neighbours, 12);
  EXPECT_NEAR(sum / (kN / 2), kN / 2, 0.03 * kN);  // the first half of an epoch comes from everywhere
}

TEST(BatchReader, AnEpochCoversTheStreamOnce) {
  const TokenData data = Counting(1003);
  const BatchReader reader(data, 4, 10, 5);
  ASSERT_EQ(reader.SequencesPerEpoch(), 100);
  EXPECT_DOUBLE_EQ(reader.EpochOf(150), 1.5);
  std::set<std::set<int32_t>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<int32_t> targets_seen, first_targets;
    for (int64_t n = 0; n < 100; ++n) {
      int32_t inputs[10], targets[10];
      reader.Sequence(epoch * 100 + n, inputs, targets);
      first_targets.insert(targets[0]);
      for (int t = 0; t < 10; ++t) {
        const int32_t before = targets[t] == 0 ? Tokenizer::kEos : targets[t] - 1;
        EXPECT_EQ(inputs[t], before);  // shifted once; the ring's first token follows <eos>
        EXPECT_TRUE(targets_seen.insert(targets[t]).second);
      }
    }
    EXPECT_EQ(targets_seen.size(), 1000u);
    epochs.insert(first_targets);
  }
  EXPECT_GE(epochs.size(), 2u) << "chunk borders should move between epochs";
}

TEST(BatchReader, NothingIsLeftOutThatFits) {
  const TokenData data = Counting(1000);
  const BatchReader reader(data, 1, 10, 5);
  ASSERT_EQ(reader.SequencesPerEpoch(), 100);  // not one less because the last target has no successor: the ring closes
  std::set<int32_t> seen;
  for (int64_t n = 0; n < 100; ++n) {
    int32_t inputs[10], targets[10];
    reader.Sequence(n, inputs, targets);
    seen.insert(targets, targets + 10);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(BatchReader, AnEpochMayStartAtAnyToken) {
  const TokenData data = Counting(20);
  const BatchReader reader(data, 1, 10, 5);
  std::set<int32_t> starts;
  for (int64_t n = 0; n < 400; ++n) {
    int32_t inputs[10], targets[10];
    reader.Sequence(n, inputs, targets);
    starts.insert(targets[0]);
  }
  EXPECT_EQ(starts.size(), 20u);
}

TEST(BatchReader, TheOrderIsAnotherInEveryEpoch) {
  const TokenData data = Counting(4000);
  const BatchReader reader(data, 1, 10, 5);
  const auto order = [&](int64_t epoch) {
    std::vector<int32_t> chunks;
    int32_t first = 4000;
    for (int64_t n = 0; n < 400; ++n) {
      int32_t inputs[10], targets[10];
      reader.Sequence(epoch * 400 + n, inputs, targets);
      chunks.push_back(targets[0]);
      first = std::min(first, targets[0]);
    }
    for (int32_t& chunk : chunks) chunk = (chunk - first) / 10;  // apart from where the epoch starts
    return chunks;
  };
  const std::vector<int32_t> one = order(0), two = order(1);
  int same = 0;
  for (size_t i = 0; i < one.size(); ++i) same += one[i] == two[i];
  EXPECT_LT(same, 10);
}

TEST(BatchReader, ADocumentsFirstContextIsTheEndOfTheOneBefore) {
  // Token 3 is <eos>: the first story's first token is predicted from the stream's last token.
  const TokenData data = TokenData::FromTokens({10, 11, 12, 3, 20, 21, 3}, 30);
  const BatchReader reader(data, 1, 6, 1);
  bool seen = false;
  for (int64_t n = 0; n < 40; ++n) {
    int32_t inputs[6], targets[6];
    reader.Sequence(n, inputs, targets);
    for (int t = 0; t < 6; ++t) {
      if (targets[t] != 10) continue;
      EXPECT_EQ(inputs[t], 3);
      seen = true;
    }
  }
  EXPECT_TRUE(seen);
}

TEST(BatchReader, ResumesFromOneNumber) {
  const TokenData data = Counting(5000);
  const BatchReader first(data, 3, 16, 9), again(data, 3, 16, 9);
  std::vector<int32_t> x(48), y(48), x2(48), y2(48);
  for (int64_t step = 0; step < 300; ++step) first.Read(step, x.data(), y.data());
  again.Read(299, x2.data(), y2.data());  // nothing before it was read
  EXPECT_EQ(x, x2);
  EXPECT_EQ(y, y2);
  BatchReader(data, 3, 16, 10).Read(299, x2.data(), y2.data());
  EXPECT_NE(x, x2);
}

TEST(BatchReader, AStepReadsItsSequencesInOrder) {
  const TokenData data = Counting(5000);
  const BatchReader reader(data, 3, 16, 9);
  std::vector<int32_t> inputs(48), targets(48), x(16), y(16);
  for (const int64_t step : {0, 1, 299}) {
    reader.Read(step, inputs.data(), targets.data());
    for (int64_t b = 0; b < 3; ++b) {
      reader.Sequence(step * 3 + b, x.data(), y.data());
      EXPECT_TRUE(std::equal(x.begin(), x.end(), inputs.begin() + b * 16)) << "step " << step << ", row " << b;
      EXPECT_TRUE(std::equal(y.begin(), y.end(), targets.begin() + b * 16)) << "step " << step << ", row " << b;
    }
  }
}

TEST(BatchReader, TooLittleDataIsRefused) {
  const TokenData data = Counting(16);
  EXPECT_THROW(BatchReader(data, 1, 16, 0), Error);
  EXPECT_NO_THROW(BatchReader(data, 1, 15, 0));
}

}  // namespace
}  // namespace flashlm
