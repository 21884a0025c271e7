#include "data/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <utility>

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
  const BatchReader reader(data, 10, 5);
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
  const BatchReader reader(data, 10, 5);
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
  const BatchReader reader(data, 10, 5);
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
  const BatchReader reader(data, 10, 5);
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
  const BatchReader reader(data, 6, 1);
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
  const BatchReader first(data, 16, 9), again(data, 16, 9);
  std::vector<int32_t> x(48), y(48), x2(48), y2(48);
  for (int64_t step = 0; step < 300; ++step) first.Read(3 * step, 3, x.data(), y.data());
  again.Read(3 * 299, 3, x2.data(), y2.data());  // nothing before it was read
  EXPECT_EQ(x, x2);
  EXPECT_EQ(y, y2);
  BatchReader(data, 16, 10).Read(3 * 299, 3, x2.data(), y2.data());
  EXPECT_NE(x, x2);
}

TEST(BatchReader, AStepReadsItsSequencesInOrder) {
  const TokenData data = Counting(5000);
  const BatchReader reader(data, 16, 9);
  std::vector<int32_t> inputs(48), targets(48), x(16), y(16);
  for (const int64_t step : {0, 1, 299}) {
    reader.Read(3 * step, 3, inputs.data(), targets.data());
    for (int64_t b = 0; b < 3; ++b) {
      reader.Sequence(step * 3 + b, x.data(), y.data());
      EXPECT_TRUE(std::equal(x.begin(), x.end(), inputs.begin() + b * 16)) << "step " << step << ", row " << b;
      EXPECT_TRUE(std::equal(y.begin(), y.end(), targets.begin() + b * 16)) << "step " << step << ", row " << b;
    }
  }
}

// --- documents in another order in every epoch ---

// Documents of 0 to 18 tokens, every token another id, each but the last closed by <eos>.
TokenData Documents(int documents, std::vector<std::vector<int32_t>>* out = nullptr) {
  std::vector<uint16_t> tokens;
  uint16_t id = 100;
  for (int d = 0; d < documents; ++d) {
    std::vector<int32_t> document;
    for (int i = 0; i < 7 * d % 19; ++i) document.push_back(id++);
    if (d + 1 < documents) document.push_back(Tokenizer::kEos);
    tokens.insert(tokens.end(), document.begin(), document.end());
    if (out != nullptr) out->push_back(document);
  }
  return TokenData::FromTokens(tokens, id);
}

struct Sequences {
  std::vector<std::vector<int32_t>> inputs, targets;
};

Sequences EpochOf(const BatchReader& reader, int64_t epoch) {
  Sequences read;
  const auto length = static_cast<size_t>(reader.length());
  for (int64_t n = 0; n < reader.SequencesPerEpoch(); ++n) {
    read.inputs.emplace_back(length);
    read.targets.emplace_back(length);
    reader.Sequence(epoch * reader.SequencesPerEpoch() + n, read.inputs.back().data(), read.targets.back().data());
  }
  return read;
}

TEST(DocumentShuffle, AnEpochReadsEveryTokenAtMostOnceAndLeavesOutLessThanASequence) {
  for (const int documents : {2, 3, 40, 200}) {
    for (const int length : {1, 7, 16, 64}) {
      const TokenData data = Documents(documents);
      if (data.size() <= length) continue;
      const BatchReader reader(data, length, 5, Shuffle::kDocuments);
      for (int64_t epoch = 0; epoch < 4; ++epoch) {
        std::multiset<int32_t> seen;
        for (const auto& targets : EpochOf(reader, epoch).targets) seen.insert(targets.begin(), targets.end());
        EXPECT_LT(data.size() - std::ssize(seen), length);
        EXPECT_LE(seen.count(Tokenizer::kEos), static_cast<size_t>(documents - 1));
        const size_t others = seen.size() - seen.count(Tokenizer::kEos);
        EXPECT_EQ(std::set<int32_t>(seen.upper_bound(Tokenizer::kEos), seen.end()).size(), others);
      }
    }
  }
}

// Inside a document the context is the token before, at its start it is <eos>: whatever document comes before it, also
// after the last one, which has no <eos> of its own here.
TEST(DocumentShuffle, DocumentsStayWhole) {
  std::vector<std::vector<int32_t>> documents;
  const TokenData data = Documents(60, &documents);
  const BatchReader reader(data, 32, 5, Shuffle::kDocuments);
  std::map<int32_t, int32_t> before;  // what a token must follow
  std::set<int32_t> last;
  for (const auto& document : documents) {
    for (size_t i = 0; i < document.size(); ++i) before[document[i]] = i == 0 ? Tokenizer::kEos : document[i - 1];
    if (document.size() > 1) last.insert(document[document.size() - 2]);
  }
  std::set<int32_t> first_of_epoch;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    const Sequences read = EpochOf(reader, epoch);
    for (size_t n = 0; n < read.targets.size(); ++n) {
      for (size_t t = 0; t < 32; ++t) {
        const int32_t input = read.inputs[n][t], target = read.targets[n][t];
        if (target == Tokenizer::kEos) {
          EXPECT_TRUE(input == Tokenizer::kEos || last.contains(input)) << input;
        } else {
          EXPECT_EQ(input, before.at(target));
        }
        // Only after a document's end, or the last document's last token, is the context not the target before.
        if (t > 0 && input != read.targets[n][t - 1]) {
          EXPECT_EQ(read.targets[n][t - 1], documents.back().back());
        }
      }
    }
    first_of_epoch.insert(read.targets[0][0]);
  }
  EXPECT_GE(first_of_epoch.size(), 4u);
}

// Whom a document follows is another one in every epoch, and with another seed.
TEST(DocumentShuffle, NeighboursChange) {
  const TokenData data = Documents(200);
  const auto neighbours = [&](uint64_t seed, int64_t epoch) {
    std::set<std::pair<int32_t, int32_t>> pairs;
    const BatchReader reader(data, 64, seed, Shuffle::kDocuments);
    for (const auto& targets : EpochOf(reader, epoch).targets) {
      for (size_t t = 2; t < 64; ++t) {
        if (targets[t - 1] == Tokenizer::kEos) pairs.insert({targets[t - 2], targets[t]});
      }
    }
    return pairs;
  };
  const auto one = neighbours(5, 0), next = neighbours(5, 1), other = neighbours(6, 0);
  EXPECT_GT(one.size(), 100u);
  for (const auto& different : {next, other}) {
    std::vector<std::pair<int32_t, int32_t>> common;
    std::set_intersection(one.begin(), one.end(), different.begin(), different.end(), std::back_inserter(common));
    EXPECT_LT(common.size(), 10u);
  }
  EXPECT_EQ(one, neighbours(5, 0));
}

TEST(DocumentShuffle, ASequenceIsAFunctionOfSeedAndNumber) {
  const TokenData data = Documents(150);
  const BatchReader one(data, 16, 9, Shuffle::kDocuments), two(data, 16, 9, Shuffle::kDocuments);
  const int64_t count = 5 * one.SequencesPerEpoch();
  std::vector<int32_t> x(16), y(16), x2(16), y2(16);
  for (int64_t n = 0; n < count; ++n) {
    one.Sequence(n, x.data(), y.data());
    two.Sequence((n * 31 + 7) % count, x2.data(), y2.data());  // elsewhere, in other epochs
    two.Sequence(n, x2.data(), y2.data());
    ASSERT_EQ(x, x2) << n;
    ASSERT_EQ(y, y2) << n;
  }
}

TEST(DocumentShuffle, OneDocumentIsAStream) {
  std::vector<uint16_t> tokens(1000);
  std::iota(tokens.begin(), tokens.end(), uint16_t{4});
  const TokenData data = TokenData::FromTokens(tokens, 1004);
  const BatchReader chunks(data, 10, 5), documents(data, 10, 5, Shuffle::kDocuments);
  EXPECT_EQ(EpochOf(chunks, 1).inputs, EpochOf(documents, 1).inputs);
  EXPECT_EQ(EpochOf(chunks, 1).targets, EpochOf(documents, 1).targets);
}

// Runs go on under later versions: the orders are part of what a checkpoint promises.
TEST(BatchReader, TheOrdersStayWhatTheyWere) {
  const auto first_targets = [](const TokenData& data, Shuffle shuffle) {
    const BatchReader reader(data, 10, 5, shuffle);
    std::vector<int32_t> first;
    for (const int64_t n : {0, 1, 2, 99, 100, 101, 12345}) {
      int32_t inputs[10], targets[10];
      reader.Sequence(n, inputs, targets);
      first.push_back(targets[0]);
    }
    return first;
  };
  EXPECT_EQ(first_targets(Counting(1003), Shuffle::kChunks), (std::vector<int32_t>{610, 310, 740, 40, 238, 8, 116}));
  EXPECT_EQ(first_targets(Documents(100), Shuffle::kDocuments), (std::vector<int32_t>{3, 132, 100, 3, 3, 729, 761}));
}

TEST(BatchReader, PositionsSayWhereTargetsStand) {
  constexpr int kLength = 16;
  for (const Shuffle shuffle : {Shuffle::kChunks, Shuffle::kDocuments}) {
    const TokenData data = Documents(100);
    const BatchReader reader(data, kLength, 7, shuffle);
    std::vector<int32_t> inputs(2 * kLength), targets(inputs.size());
    std::vector<int64_t> positions(inputs.size());
    for (int64_t n = 0; n < 2 * reader.SequencesPerEpoch(); n += 2) {
      reader.Read(n, 2, inputs.data(), targets.data(), positions.data());
      for (size_t i = 0; i < positions.size(); ++i) ASSERT_EQ(data[positions[i]], targets[i]) << "sequence " << n;
      for (size_t i = 1; i < kLength; ++i) {
        if (inputs[i] == Tokenizer::kEos) continue;
        ASSERT_EQ(positions[i], positions[i - 1] + 1);
      }
    }
  }
}

TEST(BatchReader, TooLittleDataIsRefused) {
  const TokenData data = Counting(16);
  EXPECT_THROW(BatchReader(data, 16, 0), Error);
  EXPECT_NO_THROW(BatchReader(data, 15, 0));
}

}  // namespace
}  // namespace flashlm
