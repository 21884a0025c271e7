#include "kernels/embed/ngram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/embed/ref.h"

namespace flashlm::kernels {
namespace {

using Ids = std::vector<int32_t>;

constexpr int32_t kEnd = 3;

Ids RandomTokens(int64_t count, int vocab, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  Ids tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab)));
  return tokens;
}

Ids RowsOf(const NgramShape& shape, const Ids& tokens, float* past = nullptr) {
  Ids rows(tokens.size());
  NgramRows(shape, tokens.data(), past, rows.data());
  if (past != nullptr) NgramPast(shape, tokens.data(), past);
  return rows;
}

// Few ids, so that documents end often.
TEST(NgramRows, FollowTheDefinitionInEveryRowOfABatch) {
  const int64_t batch = 3, length = 130;
  const Ids tokens = RandomTokens(batch * length, 6, 1);
  for (const int order : {2, 3, 4, 7}) {
    const NgramShape shape{batch, length, order, kEnd, 1'000'003, 5};
    const Ids rows = RowsOf(shape, tokens);
    for (int64_t n = 0; n < batch * length; ++n) {
      ASSERT_EQ(rows[static_cast<size_t>(n)], ref::NgramRow(shape, tokens.data() + n / length * length, n % length + 1))
          << order << " " << n;
    }
  }
}

// What a table has learned is lost if this changes. Computed in Python from the header's words.
TEST(NgramRows, HashAsTheyAlwaysDid) {
  const auto last = [](const Ids& tokens, int order, int64_t rows, uint64_t variant) {
    return RowsOf({1, std::ssize(tokens), order, kEnd, rows, variant}, tokens).back();
  };
  EXPECT_EQ(last({5, 7}, 2, 1'000'003, 0), 442559);
  EXPECT_EQ(last({7, 5}, 2, 1'000'003, 0), 580877);
  EXPECT_EQ(last({7}, 2, 1'000'003, 0), 912684);
  EXPECT_EQ(last({4095, 5, 7}, 3, 1'000'003, 0), 641835);
  EXPECT_EQ(last({5, 7}, 2, 1'000'003, 1), 210580);
  EXPECT_EQ(last({9, 8, 7, 3}, 4, 10'000'000, 0), 6195064);
}

TEST(NgramRows, NeverReachBackBeyondTheDocument) {
  const NgramShape shape{1, 5, 4, kEnd, 1'000'003, 0};
  const Ids one = RowsOf(shape, {8, 9, kEnd, 5, 6}), other = RowsOf(shape, {5, kEnd, kEnd, 5, 6});
  for (const size_t t : {2, 3, 4}) EXPECT_EQ(one[t], other[t]) << t;
  // Within a document everything counts, and the stream's start is no document's.
  const Ids inside = RowsOf(shape, {8, 9, 4, 5, 6}), start = RowsOf(shape, {5, 6, 7, 8, 9});
  for (const size_t t : {2, 3, 4}) EXPECT_NE(one[t], inside[t]) << t;
  EXPECT_NE(start[0], one[3]);
}

TEST(NgramRows, AreTheSameHoweverTheStreamIsCut) {
  const int64_t batch = 2, length = 60;
  const Ids tokens = RandomTokens(batch * length, 8, 2);
  for (const int order : {2, 3, 4, 6}) {
    NgramShape shape{batch, length, order, kEnd, 1'000'003, 0};
    const Ids whole = RowsOf(shape, tokens);
    std::vector<float> past(static_cast<size_t>(batch * (order - 1)));
    for (int64_t begin = 0, piece = 0; begin < length; begin += shape.length, ++piece) {
      shape.length = std::min<int64_t>(length - begin, std::vector{1, 1, 7, 2, 20, 3}[static_cast<size_t>(piece % 6)]);
      Ids part;
      for (int64_t b = 0; b < batch; ++b) {
        const auto from = tokens.begin() + b * length + begin;
        part.insert(part.end(), from, from + shape.length);
      }
      const Ids rows = RowsOf(shape, part, past.data());
      for (int64_t b = 0; b < batch; ++b) {
        for (int64_t t = 0; t < shape.length; ++t) {
          ASSERT_EQ(rows[static_cast<size_t>(b * shape.length + t)], whole[static_cast<size_t>(b * length + begin + t)])
              << order << " " << b << " " << begin + t;
        }
      }
    }
  }
}

// All pairs of 600 tokens in as many rows as there are pairs: an ideal hash leaves 1/e of the rows empty.
TEST(NgramRows, SpreadAsAtRandom) {
  constexpr int64_t kTokens = 600, kRows = kTokens * kTokens;
  std::vector<int> counts(kRows);
  const NgramShape shape{1, 2, 2, -1, kRows, 0};
  for (int32_t a = 0; a < kTokens; ++a) {
    for (int32_t b = 0; b < kTokens; ++b) ++counts[static_cast<size_t>(RowsOf(shape, {a, b})[1])];
  }
  int empty = 0, most = 0;
  for (const int count : counts) {
    empty += count == 0;
    most = std::max(most, count);
  }
  EXPECT_NEAR(empty / static_cast<double>(kRows), std::exp(-1), 0.005);
  EXPECT_LE(most, 12);
}

TEST(NgramRows, DoNotDependOnThreads) {
  const Ids tokens = RandomTokens(4000, 50, 3);
  const NgramShape shape{4, 1000, 3, kEnd, 99991, 0};
  const int threads = ThreadCount();
  SetThreadCount(1);
  const Ids one = RowsOf(shape, tokens);
  SetThreadCount(3);
  EXPECT_EQ(RowsOf(shape, tokens), one);
  SetThreadCount(threads);
}

}  // namespace
}  // namespace flashlm::kernels
