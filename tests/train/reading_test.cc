// What a run reads: parts of the data by difficulty, the model's own stories, and that nothing is read twice or lost
// where one follows the other.
#include "train/reading.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "data/difficulty.h"
#include "tests/data/scratch.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

constexpr int kTokensRead = 8;
constexpr uint64_t kSeed = 5;

using Ids = std::vector<int32_t>;

// Document d is of 15 tokens 10 + d and its <eos>.
TokenData Labelled(int documents) {
  std::vector<uint16_t> tokens;
  for (int d = 0; d < documents; ++d) {
    tokens.insert(tokens.end(), 15, static_cast<uint16_t>(10 + d));
    tokens.push_back(Tokenizer::kEos);
  }
  return TokenData::FromTokens(tokens, 200);
}

class ReadingTest : public testing::Test {
 protected:
  ReadingTest() {
    std::vector<float> difficulty(100);
    for (size_t d = 0; d < difficulty.size(); ++d) difficulty[d] = static_cast<float>(1 + d * 37 % 100);
    WriteDifficulty(folder_ / "", data_, difficulty);
    easy_ = DocumentsWithin(difficulty, 0, 30);
  }
  Reading Make() const { return {data_, folder_ / "", own_, kTokensRead, kSeed, Shuffle::kChunks}; }
  static Ids Targets(const Reading& reading, int64_t first, int64_t count) {
    Ids inputs(static_cast<size_t>(count * kTokensRead)), targets(inputs.size());
    reading.Read(first, count, inputs.data(), targets.data(), nullptr);
    return targets;
  }
  static Ids Targets(const BatchReader& reader, int64_t first, int64_t count) {
    Ids inputs(static_cast<size_t>(count * kTokensRead)), targets(inputs.size());
    reader.Read(first, count, inputs.data(), targets.data());
    return targets;
  }
  // Stories of tokens from 150 on, which the data does not have.
  void Write(int stories) {
    for (int s = 0; s < stories; ++s) own_.Add(Ids(static_cast<size_t>(3 + s), 150 + s));
  }

  ScratchFolder folder_;
  TokenData data_ = Labelled(100);
  OwnStories own_;
  std::vector<uint32_t> easy_;
};

TEST_F(ReadingTest, WithoutPartsIsTheDataAsItLies) {
  Reading reading = Make();
  const BatchReader reader(data_, kTokensRead, kSeed);
  EXPECT_EQ(Targets(reading, 0, 400), Targets(reader, 0, 400));
  EXPECT_EQ(reading.SequencesPerEpoch(), reader.SequencesPerEpoch());
  reading.Enter({}, 77);  // another phase that reads the same
  EXPECT_EQ(Targets(reading, 77, 300), Targets(reader, 77, 300));
  EXPECT_EQ(reading.EpochOf(300), reader.EpochOf(300));
}

TEST_F(ReadingTest, APartHasTheStoriesWithinItsPercentilesAlone) {
  Reading reading = Make();
  reading.Enter({.low = 0, .high = 30}, 11);
  const std::set<uint32_t> easy(easy_.begin(), easy_.end());
  std::set<uint32_t> seen;
  for (const int32_t token : Targets(reading, 11, 59)) {  // an epoch of 30 documents of 16 tokens
    if (token == Tokenizer::kEos) continue;
    ASSERT_TRUE(easy.contains(static_cast<uint32_t>(token - 10))) << token;
    seen.insert(static_cast<uint32_t>(token - 10));
  }
  EXPECT_EQ(seen.size(), 30u);
  // From its own beginning, whatever was read before.
  EXPECT_EQ(Targets(reading, 11, 59), Targets(BatchReader(data_, kTokensRead, kSeed, Shuffle::kChunks, easy_), 0, 59));
  // As many sequences count as much, of a part or of the whole.
  EXPECT_DOUBLE_EQ(reading.EpochOf(100), 0.5);
  reading.Enter({}, 100);
  EXPECT_EQ(Targets(reading, 100, 50), Targets(BatchReader(data_, kTokensRead, kSeed), 0, 50));
  EXPECT_DOUBLE_EQ(reading.EpochOf(200), 1);
}

TEST_F(ReadingTest, OwnStoriesTakeTheirShareAndTheDataGoesOn) {
  Write(9);
  Reading reading = Make();
  reading.Enter({.own = 0.25}, 10);
  Ids data;
  int64_t own = 0;
  for (int64_t n = 10; n < 110; ++n) {
    const Ids sequence = Targets(reading, n, 1);
    const bool is_own = std::all_of(sequence.begin(), sequence.end(),
                                    [](int32_t token) { return token >= 150 || token == Tokenizer::kEos; });
    own += is_own;
    if (!is_own) data.insert(data.end(), sequence.begin(), sequence.end());
    EXPECT_EQ(own, (n + 1 - 10) / 4) << n;
  }
  EXPECT_EQ(data, Targets(BatchReader(data_, kTokensRead, kSeed), 10, 75));
  EXPECT_DOUBLE_EQ(reading.EpochOf(110), 85.0 / 200);
  reading.Enter({}, 110);
  EXPECT_EQ(Targets(reading, 110, 20), Targets(BatchReader(data_, kTokensRead, kSeed), 85, 20));
  EXPECT_DOUBLE_EQ(reading.EpochOf(130), 105.0 / 200);
}

TEST_F(ReadingTest, WithoutOwnStoriesThereIsDataInTheirPlace) {
  Reading reading = Make();
  reading.Enter({.own = 1}, 0);
  EXPECT_EQ(Targets(reading, 0, 20), Targets(BatchReader(data_, kTokensRead, kSeed), 0, 20));
  Write(2);
  EXPECT_EQ(Targets(reading, 20, 5), Targets(BatchReader(data_, kTokensRead, kSeed), 20, 5));  // until it is told
  reading.Enter({.own = 1}, 25);
  for (const int32_t token : Targets(reading, 25, 20)) EXPECT_TRUE(token >= 150 || token == Tokenizer::kEos) << token;
}

// What a checkpoint has of it is enough to go on, from any place.
TEST_F(ReadingTest, ARestoredOneReadsOn) {
  Write(5);
  const auto state = [](Reading& reading) { return FieldsToJson(reading); };
  const auto restored = [&](const ReadingPart& part, const Json& fields) {
    Reading reading = Make();
    reading.Restore(part);
    FieldsFromJson(fields, "", reading);
    return reading;
  };
  Reading reading = Make();
  const ReadingPart parts[] = {{0, 30, 0}, {0, 70, 0}, {0, 70, 0.4}, {0, 100, 0.4}, {0, 100, 1}};
  int64_t next = 0;
  for (const ReadingPart& part : parts) {
    reading.Enter(part, next);
    const Reading other = restored(part, state(reading));
    EXPECT_EQ(Targets(other, next, 60), Targets(reading, next, 60));
    EXPECT_EQ(Targets(other, next + 13, 20), Targets(reading, next + 13, 20));
    EXPECT_EQ(other.EpochOf(next + 60), reading.EpochOf(next + 60));
    next += 37;
  }
}

TEST_F(ReadingTest, OwnStoriesBeginAndEndWithEos) {
  Write(9);
  std::set<int32_t> first_words;
  for (int64_t n = 0; n < 50; ++n) {
    int32_t inputs[kTokensRead], targets[kTokensRead];
    own_.Sequence(kSeed, n, kTokensRead, inputs, targets);
    EXPECT_EQ(inputs[0], Tokenizer::kEos);
    int32_t story = targets[0];
    first_words.insert(story);
    int64_t so_far = 0;
    for (int t = 0; t < kTokensRead; ++t) {
      if (t > 0) {
        EXPECT_EQ(inputs[t], targets[t - 1]);
      }
      if (targets[t] == Tokenizer::kEos) {
        EXPECT_EQ(so_far, story - 150 + 3);  // whole
        so_far = 0;
        if (t + 1 < kTokensRead) story = targets[t + 1];
      } else {
        EXPECT_EQ(targets[t], story);
        ++so_far;
      }
    }
    int32_t again[kTokensRead], targets_again[kTokensRead];
    own_.Sequence(kSeed, n, kTokensRead, again, targets_again);
    EXPECT_TRUE(std::equal(targets, targets + kTokensRead, targets_again));
  }
  EXPECT_GT(first_words.size(), 6u);
}

}  // namespace
}  // namespace flashlm
