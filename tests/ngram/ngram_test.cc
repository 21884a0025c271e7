// Counted models against their definition, written once more with maps and sets.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "ngram/count_codes.h"
#include "ngram/ngram_counts.h"

namespace flashlm {
namespace {

constexpr int kVocab = 12, kEos = 3;
// Every order has its own, so that one taken for another shows.
const std::vector<Discounts> kDiscounts = {
    {{0.4f, 0.9f, 1.3f}}, {{0.5f, 1.1f, 1.4f}}, {{0.6f, 1.0f, 1.7f}}, {{0.7f, 1.3f, 1.9f}}, {{0.8f, 1.4f, 2.1f}}};
float DiscountOf(size_t order, int count) {
  return kDiscounts[order - 1].of[static_cast<size_t>(std::min(count, 3)) - 1];
}

using Words = std::vector<int>;
using Documents = std::vector<Words>;  // each with <eos> before it and at its end

// Skewed and with memory, so that contexts of every length are known and unknown. Two dozen of them have no count that
// a byte would round (above 64).
Documents RandomDocuments(int count, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  Documents documents;
  for (int d = 0; d < count; ++d) {
    Words words = {kEos};
    const auto length = rng.Below(30);  // also none
    for (uint64_t i = 0; i < length; ++i) {
      const int before = words.back();
      int word = static_cast<int>(rng.Below(3) != 0 ? (before * 5 + 1) % kVocab : rng.Below(kVocab));
      if (word == kEos) word = 0;  // the padding of shorter windows is a word like any other
      words.push_back(word);
    }
    words.push_back(kEos);
    documents.push_back(words);
  }
  return documents;
}

std::vector<uint16_t> StreamOf(const Documents& documents) {
  std::vector<uint16_t> stream;
  for (const Words& words : documents) stream.insert(stream.end(), words.begin() + 1, words.end());
  return stream;
}

// docs of smoothing.h, word for word.
class Definition {
 public:
  Definition(const Documents& documents, int order, std::array<uint32_t, kMaxNGramOrder> at_least)
      : order_(order), at_least_(at_least) {
    std::map<Words, std::set<int>> before;
    for (const Words& words : documents) {
      for (size_t end = 1; end < words.size(); ++end) {
        for (size_t n = 1; n <= std::min<size_t>(static_cast<size_t>(order), end + 1); ++n) {
          const Words ngram(words.begin() + static_cast<std::ptrdiff_t>(end + 1 - n),
                            words.begin() + static_cast<std::ptrdiff_t>(end + 1));
          ++seen_[ngram];
          if (end >= n) before[ngram].insert(words[end - n]);
        }
      }
    }
    for (const auto& [ngram, count] : seen_) {
      const bool raw = static_cast<int>(ngram.size()) == order || (ngram.size() > 1 && ngram[0] == kEos);
      counts_[ngram] = raw ? count : static_cast<int>(before[ngram].size());
    }
    for (const auto& [ngram, count] : counts_) {
      const Words context(ngram.begin(), ngram.end() - 1);
      total_[context] += count;
      const bool kept = Kept(ngram);
      mass_[context] += kept ? DiscountOf(ngram.size(), count) : static_cast<float>(count);
    }
  }

  bool Kept(const Words& ngram) const {
    const auto found = seen_.find(ngram);
    return found != seen_.end() &&
           (ngram.size() == 1 || static_cast<uint32_t>(found->second) >= at_least_[ngram.size() - 1]);
  }
  // C(h), 0 for contexts that the model does not know.
  double Total(const Words& context) const {
    const auto found = total_.find(context);
    return found == total_.end() || (context.size() > 1 && !Kept(context)) ? 0 : found->second;
  }
  double Gamma(const Words& context) const { return Total(context) == 0 ? 1.0 : mass_.at(context) / Total(context); }
  double Probability(Words context, int word) const {
    if (context.size() >= static_cast<size_t>(order_)) {
      context.erase(context.begin(), context.end() - (order_ - 1));
    }
    const double lower = context.empty() ? 1.0 / kVocab : Probability(Words(context.begin() + 1, context.end()), word);
    if (Total(context) == 0) return lower;
    Words ngram = context;
    ngram.push_back(word);
    double share = 0;
    if (Kept(ngram)) {
      const int count = counts_.at(ngram);
      share = (count - DiscountOf(ngram.size(), count)) / Total(context);
    }
    return share + Gamma(context) * lower;
  }

 private:
  int order_;
  std::array<uint32_t, kMaxNGramOrder> at_least_;
  std::map<Words, int> seen_, counts_;
  std::map<Words, double> total_, mass_;
};

struct Case {
  int order;
  std::array<uint32_t, kMaxNGramOrder> at_least;
};
const Case kCases[] = {{2, {1, 1, 1, 1, 1}}, {3, {1, 1, 1, 1, 1}}, {4, {1, 1, 2, 3, 3}},
                       {5, {1, 1, 1, 1, 1}}, {5, {1, 1, 1, 2, 2}}, {5, {1, 2, 2, 2, 4}}};

NGramOptions Options(const Case& c) {
  NGramOptions options;
  options.order = c.order;
  options.vocab = kVocab;
  options.eos = kEos;
  options.at_least = c.at_least;
  options.discounts = kDiscounts;
  return options;
}

TEST(NGramTest, ProbabilitiesAreThoseOfTheDefinition) {
  const Documents known = RandomDocuments(24, 1), others = RandomDocuments(20, 2);
  for (const Case& c : kCases) {
    const Definition definition(known, c.order, c.at_least);
    const NGramModel model = NGramCounts(StreamOf(known), Options(c)).Pack();
    std::vector<float> all(kVocab);
    for (const Words& words : others) {
      NGramContext context = model.Start();
      for (size_t i = 0; i + 1 < words.size(); ++i) {
        context = model.Advance(context, words[i]);
        const Words read(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        model.Distribution(context, all.data());
        double sum = 0;
        for (int w = 0; w < kVocab; ++w) {
          const float p = model.Probability(context, w);
          EXPECT_NEAR(p, definition.Probability(read, w), 1e-6) << "order " << c.order << ", position " << i;
          EXPECT_EQ(p, all[static_cast<size_t>(w)]);
          EXPECT_GT(p, 0);
          sum += p;
        }
        EXPECT_NEAR(sum, 1, 1e-5);
      }
    }
  }
}

TEST(NGramTest, ADocumentLeftOutIsAsIfItHadNotBeenCounted) {
  const Documents documents = RandomDocuments(24, 3);
  for (const Case& c : kCases) {
    const NGramCounts counts(StreamOf(documents), Options(c));
    const LeftOut left_out = counts.LeaveDocumentsOut();
    const NGramModel whole = counts.Pack();
    int64_t position = 0;
    double own_counts_left_in = 0, without = 0;
    for (size_t d = 0; d < documents.size(); ++d) {
      Documents rest = documents;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(d));
      const Definition definition(rest, c.order, c.at_least);
      const NGramModel model = NGramCounts(StreamOf(rest), Options(c)).Pack();
      NGramContext context = model.Start(), in_whole = whole.Start();
      const Words& words = documents[d];
      for (size_t i = 1; i < words.size(); ++i, ++position) {
        context = model.Advance(context, words[i - 1]);
        in_whole = whole.Advance(in_whole, words[i - 1]);
        const Words read(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i));
        ASSERT_NEAR(left_out.LogProbability(position), std::log(definition.Probability(read, words[i])), 3e-4)
            << "order " << c.order << ", document " << d << ", token " << i;
        std::array<ContextFeatures, kMaxNGramOrder - 1> expected;
        model.Features(context, expected.data());
        for (size_t k = 0; k + 1 < static_cast<size_t>(c.order); ++k) {
          EXPECT_EQ(left_out.Features(position)[k].level, expected[k].level) << "document " << d << ", token " << i;
          EXPECT_EQ(left_out.Features(position)[k].gamma, expected[k].gamma);
        }
        without -= left_out.LogProbability(position);
        own_counts_left_in -= std::log(whole.Probability(in_whole, words[i]));
      }
    }
    EXPECT_EQ(position, left_out.size());
    EXPECT_GT(without, 1.05 * own_counts_left_in);  // what has seen the answer looks better than it is
  }
}

TEST(NGramTest, FeaturesSayHowOftenAContextWasSeenAndWhatItLeavesToShorterOnes) {
  const Documents documents = RandomDocuments(24, 1);
  const Definition definition(documents, 3, kCases[1].at_least);
  const NGramModel model = NGramCounts(StreamOf(documents), Options(kCases[1])).Pack();
  const auto expected = [&](const Words& context) {
    return ContextFeatures::Of(static_cast<float>(definition.Total(context)),
                               static_cast<float>(definition.Gamma(context)));
  };
  int known = 0;
  for (int a = 0; a < kVocab; ++a) {
    for (int b = 0; b < kVocab; ++b) {
      std::array<ContextFeatures, 2> features;
      model.Features(model.Advance(model.Advance(model.Start(), a), b), features.data());
      EXPECT_EQ(features[0].level, expected({b}).level);
      EXPECT_EQ(features[1].level, expected({a, b}).level);
      known += features[1].level > 0;
      float row[7];
      ExpandFeatures(features.data(), 3, row);
      EXPECT_EQ(row[0], features[0].level > 0);
      EXPECT_EQ(row[3], features[1].level > 0);
      EXPECT_NEAR(row[2], definition.Gamma({b}), 0.51 / 255);
      EXPECT_NEAR(row[5], definition.Gamma({a, b}), 0.51 / 255);
      EXPECT_NEAR(row[4], row[3] * std::log2(std::max(1.0, definition.Total({a, b}))) / 16, 0.51 / 128);
      EXPECT_EQ(row[6], 1);
    }
  }
  EXPECT_GT(known, 10);
  EXPECT_LT(known, kVocab * kVocab);
}

TEST(NGramTest, NothingDependsOnTheNumberOfThreads) {
  const Documents documents = RandomDocuments(300, 5);
  const int threads = ThreadCount();
  std::vector<std::string> files;
  std::vector<std::vector<float>> left_out;
  for (const int count : {1, 3}) {
    SetThreadCount(count);
    const NGramCounts counts(StreamOf(documents), Options(kCases[4]));
    const LeftOut out = counts.LeaveDocumentsOut();
    files.push_back(counts.Pack().Serialize());
    left_out.emplace_back();
    for (int64_t i = 0; i < out.size(); ++i) left_out.back().push_back(out.LogProbability(i));
  }
  SetThreadCount(threads);
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(left_out[0], left_out[1]);
}

// Borders between documents are borders: whom a document follows does not matter.
TEST(NGramTest, NoNGramCrossesADocumentsBorder) {
  Documents documents = RandomDocuments(50, 6);
  const std::string file = NGramCounts(StreamOf(documents), Options(kCases[3])).Pack().Serialize();
  std::reverse(documents.begin(), documents.end());
  EXPECT_EQ(file, NGramCounts(StreamOf(documents), Options(kCases[3])).Pack().Serialize());
}

TEST(NGramTest, ATextThatEndsWithinADocumentIsCountedAsIfItEndedThere) {
  std::vector<uint16_t> stream = StreamOf(RandomDocuments(50, 7));
  const std::string whole = NGramCounts(stream, Options(kCases[3])).Pack().Serialize();
  stream.pop_back();
  EXPECT_EQ(NGramCounts(stream, Options(kCases[3])).Pack().Serialize(), whole);
}

// The discounts stand in the file after the header, three for each order.
TEST(NGramTest, DiscountsAreEstimatedFromTheCountsOfCounts) {
  const Documents documents = RandomDocuments(400, 8);
  NGramOptions options = Options(kCases[3]);
  options.discounts.clear();
  const std::string file = NGramCounts(StreamOf(documents), options).Pack().Serialize();
  std::array<float, 15> ours;
  std::memcpy(ours.data(), file.data() + 128, sizeof(ours));
  std::map<Words, int> seen;
  for (const Words& words : documents) {
    for (size_t end = 4; end < words.size(); ++end) {
      ++seen[Words(words.begin() + static_cast<std::ptrdiff_t>(end) - 4,
                   words.begin() + static_cast<std::ptrdiff_t>(end) + 1)];
    }
  }
  std::array<double, 5> of{};
  for (const auto& [ngram, count] : seen) of[static_cast<size_t>(std::min(count, 5)) % 5] += 1;
  const double y = of[1] / (of[1] + 2 * of[2]);
  for (size_t c = 1; c <= 3; ++c) {
    const double expected = static_cast<double>(c) - static_cast<double>(c + 1) * y * of[c + 1] / of[c];
    ASSERT_GT(expected, 0.1);
    EXPECT_NEAR(ours[12 + c - 1], expected, 1e-5);
  }
}

TEST(NGramTest, NothingCountedLeavesAllTokensAlike) {
  const NGramModel model(5, kVocab);
  const NGramContext context = model.Advance(model.Advance(model.Start(), 7), kVocab - 1);
  std::vector<float> p(kVocab);
  model.Distribution(context, p.data());
  for (int w = 0; w < kVocab; ++w) {
    EXPECT_FLOAT_EQ(p[static_cast<size_t>(w)], 1.0f / kVocab);
    EXPECT_EQ(model.Probability(context, w), p[static_cast<size_t>(w)]);
  }
}

TEST(NGramTest, CountsAreExactWhereTheyAreSmall) {
  const auto& decoded = DecodedCounts();
  EXPECT_TRUE(std::is_sorted(decoded.begin(), decoded.end()));
  for (uint32_t count = 0; count <= 64; ++count) EXPECT_EQ(decoded[EncodeCount(count)], count);
  for (uint32_t count = 65; count < 30'000'000; count += count / 37) {
    EXPECT_NEAR(decoded[EncodeCount(count)], count, 0.04 * count);
  }
  EXPECT_EQ(EncodeCount(0xFFFFFFFF), 255);
}

// ---- The file ----

class NGramFileTest : public testing::Test {
 protected:
  const std::string file_ = NGramCounts(StreamOf(RandomDocuments(60, 1)), Options(kCases[4])).Pack().Serialize();

  static void ExpectRefused(const std::string& file, const std::string& why) {
    try {
      NGramModel::Deserialize(file, "FILE");
      ADD_FAILURE() << "not refused: " << why;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("'FILE'"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
      EXPECT_EQ(error.OneLine().find('\n'), std::string::npos);
    }
  }
  // The file with a body of another content and its right checksum.
  std::string WithBody(const std::string& body) const { return file_.substr(0, 64) + Sha256(body) + body; }
};

TEST_F(NGramFileTest, IsReadBackAsItWasWritten) {
  const NGramModel model = NGramModel::Deserialize(file_, "FILE");
  EXPECT_EQ(model.Serialize(), file_);
  EXPECT_EQ(model.checksum(), file_.substr(64, 64));
  EXPECT_EQ(model.checksum(), NGramCounts(StreamOf(RandomDocuments(60, 1)), Options(kCases[4])).Pack().checksum());
  EXPECT_EQ(model.order(), 5);
  EXPECT_EQ(model.vocab(), kVocab);
  EXPECT_EQ(model.counted_tokens(), std::ssize(StreamOf(RandomDocuments(60, 1))));
  NGramContext context = model.Start();
  const Documents documents = RandomDocuments(60, 1);
  for (const int word : documents[3]) {
    context = model.Advance(context, word);
    EXPECT_GT(model.Probability(context, 1), 0);
  }
}

TEST_F(NGramFileTest, ADamagedOneIsRefused) {
  for (size_t length : {size_t{0}, size_t{5}, size_t{127}}) ExpectRefused(file_.substr(0, length), "does not begin");
  ExpectRefused(file_.substr(0, 128), "damaged");
  ExpectRefused(file_.substr(0, file_.size() - 1), "damaged");
  for (size_t at = 128; at < file_.size(); at += 97) {
    std::string changed = file_;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    ExpectRefused(changed, "damaged");
  }
  std::string version = file_;
  version[8] = 9;
  ExpectRefused(version, "format version 9");
  std::string order = file_;
  order[12] = 6;
  ExpectRefused(order, "header is damaged");
}

// What a checksum does not find: a writer that made nonsense.
TEST_F(NGramFileTest, AnInconsistentOneIsRefused) {
  const std::string body = file_.substr(128);
  ExpectRefused(WithBody(body + "x"), "too long");
  ExpectRefused(WithBody(body.substr(0, body.size() - 1)), "truncated");
  ExpectRefused(WithBody(""), "truncated");
  std::string no_fit = body;
  const size_t first_children = 15 * sizeof(float) + kVocab + kVocab;  // discounts; counts and pruned of single tokens
  no_fit[first_children] = static_cast<char>(no_fit[first_children] + 1);
  ExpectRefused(WithBody(no_fit), "do not fit");
  std::string token = body;
  token[first_children + kVocab] = static_cast<char>(200);  // the first word of level 2
  ExpectRefused(WithBody(token), "outside its vocabulary");
}

// A context that more tokens follow than there are codes of counts.
TEST(NGramModel, OfAContextBeforeManyTokensBothWaysAgree) {
  constexpr int kMany = 400, kBefore = 5;
  std::vector<uint16_t> stream;
  for (int word = 10; word < kMany; ++word) {
    for (int times = word % 4; times >= 0; --times) {
      for (const int token : {kBefore, word, kEos}) stream.push_back(static_cast<uint16_t>(token));
    }
  }
  NGramOptions options;
  options.order = 3;
  options.vocab = kMany;
  options.eos = kEos;
  const NGramModel model = NGramCounts(stream, options).Pack();
  const NGramContext context = model.Advance(model.Advance(model.Start(), kEos), kBefore);
  std::vector<float> p(kMany);
  model.Distribution(context, p.data());
  double sum = 0;
  for (int token = 0; token < kMany; ++token) {
    EXPECT_EQ(p[static_cast<size_t>(token)], model.Probability(context, token)) << token;
    sum += p[static_cast<size_t>(token)];
  }
  EXPECT_NEAR(sum, 1, 1e-4);
}

}  // namespace
}  // namespace flashlm
