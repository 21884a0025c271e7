#include "data/difficulty.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "base/rng.h"
#include "data/batches.h"
#include "data/document_ring.h"
#include "tests/data/scratch.h"
#include "text/tokenizer.h"

namespace flashlm {
namespace {

using Ids = std::vector<uint16_t>;

constexpr uint16_t kEos = Tokenizer::kEos;

TokenData Stream(const std::vector<Ids>& documents, int vocab) {
  Ids tokens;
  for (const Ids& document : documents) tokens.insert(tokens.end(), document.begin(), document.end());
  return TokenData::FromTokens(tokens, vocab);
}

// Documents of 1 to 40 tokens of few kinds, so that pairs recur, each closed by <eos>.
std::vector<Ids> RandomDocuments(int count, int vocab, uint64_t seed = 1) {
  Rng rng(seed, Purpose::kTest);
  std::vector<Ids> documents(static_cast<size_t>(count));
  for (Ids& document : documents) {
    const uint64_t length = rng.Below(40);
    for (uint64_t i = 0; i < length; ++i) {
      document.push_back(static_cast<uint16_t>(4 + rng.Below(static_cast<uint64_t>(vocab - 4)) % (1 + rng.Below(20))));
    }
    document.push_back(kEos);
  }
  return documents;
}

// By definition: all other documents are counted anew.
double Reference(const std::vector<Ids>& documents, size_t own, int vocab) {
  std::map<int, double> tokens;
  std::map<std::pair<int, int>, double> pairs;
  double total = 0;
  for (size_t d = 0; d < documents.size(); ++d) {
    if (d == own) continue;
    int before = kEos;
    for (const int token : documents[d]) {
      ++tokens[token];
      ++pairs[{before, token}];
      ++total;
      before = token;
    }
  }
  double nats = 0;
  int before = kEos;
  for (const int token : documents[own]) {
    const double alone = (tokens[token] + 1) / (total + vocab);
    nats -= std::log((pairs[{before, token}] + 50 * alone) / (tokens[before] + 50));
    before = token;
  }
  const auto length = static_cast<double>(documents[own].size());
  return nats / length + 0.25 * std::log(length);
}

// In tables of all pairs (vocabularies of up to 4,096) and in hashed ones.
TEST(Difficulty, IsThatOfItsDefinition) {
  for (const int vocab : {40, 600, 4096, 4097, 65536}) {
    const std::vector<Ids> documents = RandomDocuments(60, vocab);
    const std::vector<float> difficulty = ComputeDifficulty(Stream(documents, vocab));
    ASSERT_EQ(difficulty.size(), documents.size());
    for (size_t d = 0; d < documents.size(); ++d) {
      EXPECT_NEAR(difficulty[d], Reference(documents, d, vocab), 1e-5) << "vocabulary " << vocab << ", document " << d;
    }
  }
}

TEST(Difficulty, ADocumentThatWasCutCountsAsIfItEndedThere) {
  std::vector<Ids> documents = RandomDocuments(30, 50);
  documents.push_back({10, 11, 12, kEos});
  const std::vector<float> whole = ComputeDifficulty(Stream(documents, 50));
  documents.back().pop_back();
  EXPECT_EQ(ComputeDifficulty(Stream(documents, 50)), whole);
}

TEST(Difficulty, UnusualWordsUnusualOrderAndLengthAreHard) {
  const Ids usual = {10, 11, 12, 13, 14, 15, kEos};
  std::vector<Ids> documents(50, usual);
  Ids twice = usual;
  twice.insert(twice.end() - 1, usual.begin(), usual.end() - 1);
  documents.insert(documents.end(), {{15, 12, 10, 14, 11, 13, kEos}, {10, 11, 20, 21, 14, 15, kEos}, twice});
  const std::vector<float> difficulty = ComputeDifficulty(Stream(documents, 50));
  const float easy = difficulty[0];
  for (const size_t hard : {50, 51, 52}) EXPECT_GT(difficulty[hard], easy + 0.1f) << hard;
  // What stands nowhere else is not made easier by standing there twice.
  documents.push_back({30, 31, 30, 31, 30, 31, 30, 31, kEos});
  const std::vector<float> more = ComputeDifficulty(Stream(documents, 50));
  EXPECT_GT(more.back(), 5);
}

TEST(Difficulty, PercentilesAreOfRanksAndShareOutTheDocuments) {
  std::vector<float> difficulty(101);
  for (size_t i = 0; i < difficulty.size(); ++i) difficulty[i] = static_cast<float>(i * 37 % 101);
  const auto easiest = DocumentsWithin(difficulty, 0, 30);
  EXPECT_EQ(easiest.size(), 30u);
  EXPECT_TRUE(std::is_sorted(easiest.begin(), easiest.end()));
  for (const uint32_t document : easiest) EXPECT_LT(difficulty[document], 30);
  for (const double border : {0.1, 12.5, 30.0, 50.0, 99.9}) {
    std::vector<uint32_t> all = DocumentsWithin(difficulty, 0, border);
    for (const uint32_t document : DocumentsWithin(difficulty, border, 100)) all.push_back(document);
    const std::set<uint32_t> different(all.begin(), all.end());
    EXPECT_EQ(different.size(), difficulty.size()) << border;
    if (border > 0.5 && border < 99.5) {
      EXPECT_EQ(all.size(), difficulty.size()) << border;
    }
  }
  const std::vector<float> equal(10, 1.0f);
  EXPECT_EQ(DocumentsWithin(equal, 20, 50), (std::vector<uint32_t>{2, 3, 4}));
  EXPECT_EQ(DocumentsWithin(equal, 33, 33.1), (std::vector<uint32_t>{3}));
  EXPECT_EQ(DocumentsWithin(equal, 99, 100), (std::vector<uint32_t>{9}));
  EXPECT_EQ(DocumentsWithin(equal, 0, 100).size(), 10u);
  for (const auto& [low, high] : {std::pair{-1.0, 50.0}, {0.0, 101.0}, {50.0, 50.0}, {60.0, 50.0}, {NAN, 50.0}}) {
    EXPECT_THROW(DocumentsWithin(equal, low, high), UsageError) << low << " " << high;
  }
}

// What was mixed in neither makes stories easier nor stands among them, and is in every part of them.
TEST(Difficulty, DocumentsThatWereMixedInAreNoStories) {
  const std::vector<Ids> stories = RandomDocuments(40, 50);
  const std::vector<float> alone = ComputeDifficulty(Stream(stories, 50));
  std::vector<Ids> documents;
  std::vector<uint32_t> mixed_in;
  for (size_t d = 0; d < stories.size(); ++d) {
    documents.push_back(stories[d]);
    if (d % 4 != 1) continue;
    mixed_in.push_back(static_cast<uint32_t>(documents.size()));
    documents.push_back(stories[d]);  // would make its twin easy
  }
  const std::vector<float> difficulty = ComputeDifficulty(Stream(documents, 50), {}, mixed_in);
  std::vector<float> of_stories;
  for (size_t d = 0; d < documents.size(); ++d) {
    const bool mixed = std::find(mixed_in.begin(), mixed_in.end(), d) != mixed_in.end();
    EXPECT_EQ(difficulty[d] == kMixedIn, mixed) << d;
    if (!mixed) of_stories.push_back(difficulty[d]);
  }
  EXPECT_EQ(of_stories, alone);
  EXPECT_EQ(EasiestFirst(difficulty).size(), stories.size());

  std::multiset<uint32_t> all;
  for (const auto& [low, high] : {std::pair{0.0, 30.0}, {30.0, 100.0}}) {
    const std::vector<uint32_t> part = DocumentsWithin(difficulty, low, high);
    EXPECT_TRUE(std::is_sorted(part.begin(), part.end()));
    EXPECT_EQ(part.size(), mixed_in.size() + (low == 0 ? 12u : 28u));
    all.insert(part.begin(), part.end());
  }
  for (uint32_t d = 0; d < documents.size(); ++d) EXPECT_EQ(all.count(d), difficulty[d] == kMixedIn ? 2u : 1u) << d;
}

class DifficultyFile : public testing::Test {
 protected:
  void ExpectRefused(const std::string& part) {
    ExpectError([&] { ReadDifficulty(folder_ / "", data_); }, part);
  }
  void Edit(const std::function<void(std::string&)>& change) {
    std::string content = ReadFile(path_);
    change(content);
    WriteFileAtomic(path_, content);
  }

  ScratchFolder folder_;
  std::string path_ = folder_ / kDifficultyFile;
  TokenData data_ = Stream(RandomDocuments(40, 50), 50);
  std::vector<float> computed_ = ComputeDifficulty(data_);
};

TEST_F(DifficultyFile, IsReadWhereItIsAndComputedWhereItIsNot) {
  EXPECT_EQ(ReadDifficulty(folder_ / "", data_), computed_);
  std::vector<float> written = computed_;
  std::reverse(written.begin(), written.end());
  WriteDifficulty(folder_ / "", data_, written);
  EXPECT_EQ(ReadFile(path_).size(), 64 + 4 * written.size());
  EXPECT_EQ(ReadDifficulty(folder_ / "", data_), written);
}

TEST_F(DifficultyFile, DamageIsNamed) {
  WriteDifficulty(folder_ / "", data_, computed_);
  Edit([](std::string& content) { content[100] ^= 1; });
  ExpectRefused("train_difficulty.bin' is truncated or damaged");
  WriteDifficulty(folder_ / "", data_, computed_);
  Edit([](std::string& content) { content.resize(content.size() - 4); });
  ExpectRefused("truncated or damaged");
  Edit([](std::string& content) { content = "no difficulty"; });
  ExpectRefused("does not hold the difficulty");
  std::vector<Ids> more = RandomDocuments(40, 50);
  more[7].insert(more[7].begin(), 9);
  WriteDifficulty(folder_ / "", Stream(more, 50), computed_);
  ExpectRefused("of another training text");
}

// --- batches of chosen documents ---

// Documents whose tokens tell where they are from: token 10 + d.
std::vector<Ids> Labelled(int documents) {
  std::vector<Ids> all;
  for (int d = 0; d < documents; ++d) {
    all.emplace_back(static_cast<size_t>(1 + 7 * d % 19), static_cast<uint16_t>(10 + d));
    all.back().push_back(kEos);
  }
  return all;
}

TEST(ChosenDocuments, AreReadAndNoOthers) {
  const std::vector<Ids> documents = Labelled(60);
  const TokenData data = Stream(documents, 100);
  const std::vector<uint32_t> chosen = {3, 4, 11, 30, 31, 32, 59};
  std::map<int32_t, int> expected;
  int64_t tokens = 0;
  for (const uint32_t d : chosen) {
    expected[10 + static_cast<int32_t>(d)] = static_cast<int>(documents[d].size()) - 1;
    tokens += std::ssize(documents[d]);
  }
  for (const Shuffle shuffle : {Shuffle::kChunks, Shuffle::kDocuments}) {
    const BatchReader reader(data, 8, 5, shuffle, chosen);
    EXPECT_EQ(reader.SequencesPerEpoch(), tokens / 8);
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      std::map<int32_t, int> seen;
      for (int64_t n = 0; n < reader.SequencesPerEpoch(); ++n) {
        int32_t inputs[8], targets[8];
        int64_t positions[8];
        reader.Sequence(epoch * reader.SequencesPerEpoch() + n, inputs, targets, positions);
        for (int t = 0; t < 8; ++t) {
          ASSERT_EQ(data[positions[t]], targets[t]);
          ASSERT_TRUE(inputs[t] == kEos || targets[t] == kEos || inputs[t] == targets[t]) << "documents touch";
          if (targets[t] != kEos) ++seen[targets[t]];
        }
      }
      int64_t left_out = 0;
      for (const auto& [label, count] : seen) {
        ASSERT_TRUE(expected.contains(label)) << label;
        ASSERT_LE(count, expected[label]);
      }
      for (const auto& [label, count] : expected) left_out += count - seen[label];
      EXPECT_LT(left_out, 8);
    }
  }
}

TEST(ChosenDocuments, ComeInTheirOrderUnlessShuffled) {
  const TokenData data = Stream(Labelled(20), 100);
  const std::vector<uint32_t> chosen = {7, 2, 12};
  const auto labels = [&](Shuffle shuffle, int64_t epoch) {
    DocumentRing ring(data, shuffle, 3, chosen);
    ring.Arrange(epoch);
    std::vector<int> order;
    for (int64_t at = 0; at < ring.size();) {
      const DocumentRing::Piece piece = ring.At(at);
      EXPECT_TRUE(piece.first);
      order.push_back(data[piece.begin] - 10);
      at += piece.count;
    }
    return order;
  };
  std::set<std::vector<int>> orders;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    EXPECT_EQ(labels(Shuffle::kChunks, epoch), (std::vector<int>{7, 2, 12}));
    orders.insert(labels(Shuffle::kDocuments, epoch));
  }
  EXPECT_EQ(orders.size(), 6u);
}

// All documents by name are what they are without.
TEST(ChosenDocuments, AllOfThemAreTheWhole) {
  const TokenData data = Stream(Labelled(40), 100);
  std::vector<uint32_t> all(40);
  std::iota(all.begin(), all.end(), uint32_t{0});
  for (const Shuffle shuffle : {Shuffle::kChunks, Shuffle::kDocuments}) {
    const BatchReader whole(data, 16, 5, shuffle), named(data, 16, 5, shuffle, all);
    ASSERT_EQ(whole.SequencesPerEpoch(), named.SequencesPerEpoch());
    for (int64_t n = 0; n < 3 * whole.SequencesPerEpoch(); ++n) {
      std::vector<int32_t> x(16), y(16), x2(16), y2(16);
      whole.Sequence(n, x.data(), y.data());
      named.Sequence(n, x2.data(), y2.data());
      ASSERT_EQ(x, x2);
      ASSERT_EQ(y, y2);
    }
  }
}

TEST(ChosenDocuments, TooFewAreRefused) {
  const TokenData data = Stream(Labelled(20), 100);
  ExpectError([&] { BatchReader(data, 64, 1, Shuffle::kDocuments, {0, 1}); }, "too few for one sequence of 64");
  EXPECT_ANY_THROW(BatchReader(data, 2, 1, Shuffle::kChunks, {20}));
}

}  // namespace
}  // namespace flashlm
