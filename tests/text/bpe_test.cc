#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "tests/text/text_testing.h"
#include "text/bpe_encode.h"
#include "text/bpe_train.h"
#include "text/split.h"
#include "text/word_counts.h"

namespace flashlm {
namespace {

using Ids = std::vector<uint16_t>;
using Pair = std::pair<uint16_t, uint16_t>;

Ids ByteIds(const BpeModel& model, std::string_view word) {
  Ids ids;
  for (const char c : word) {
    uint16_t id = 0;
    while (model.entries[id].bytes != std::string_view(&c, 1)) ++id;
    ids.push_back(id);
  }
  return ids;
}

void MergeEverywhere(const BpeModel::Merge& merge, Ids& word) {
  for (size_t i = 0; i + 1 < word.size(); ++i) {
    if (word[i] != merge.left || word[i + 1] != merge.right) continue;
    word[i] = merge.result;
    word.erase(word.begin() + static_cast<ptrdiff_t>(i) + 1);
  }
}

// The definition, without any bookkeeping: count all pairs afresh before every merge.
BpeModel TrainSlowly(std::span<const std::string_view> texts, size_t vocab_size) {
  BpeModel model = AlphabetModel();
  std::map<std::string, int64_t> counts;
  for (const std::string_view text : texts) {
    WordSplitter splitter(text);
    for (std::string_view word; splitter.Next(word);) ++counts[std::string(word)];
  }
  std::vector<std::pair<Ids, int64_t>> words;
  for (const auto& [word, count] : counts) words.emplace_back(ByteIds(model, word), count);
  while (model.entries.size() < vocab_size) {
    std::map<Pair, int64_t> pairs;
    for (const auto& [ids, count] : words) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) pairs[{ids[i], ids[i + 1]}] += count;
    }
    auto best = pairs.begin();  // of equals the smallest pair
    for (auto it = pairs.begin(); it != pairs.end(); ++it) {
      if (it->second > best->second) best = it;
    }
    if (best == pairs.end() || best->second < 2) break;
    const auto [left, right] = best->first;
    model.merges.push_back({left, right, static_cast<uint16_t>(model.entries.size())});
    model.entries.push_back({model.entries[left].bytes + model.entries[right].bytes, ""});
    for (auto& word : words) MergeEverywhere(model.merges.back(), word.first);
  }
  return model;
}

// The definition of encoding: the lowest-ranked merge that applies, everywhere, until none does.
Ids MergeSlowly(const BpeModel& model, std::string_view word) {
  Ids ids = ByteIds(model, word);
  for (const BpeModel::Merge& merge : model.merges) MergeEverywhere(merge, ids);
  return ids;
}

std::vector<std::array<uint16_t, 3>> MergesOf(const BpeModel& model) {
  std::vector<std::array<uint16_t, 3>> merges;
  for (const auto& [left, right, result] : model.merges) merges.push_back({left, right, result});
  return merges;
}

const std::vector<std::string> kPools[] = {
    {"a"}, {"a", "b"}, {"a", "b", "c", " "}, {"-", "'", "s", "a"}, {" ", "\n", "x"}, {"\xC3\xA9", "e", " ", "\xFF"},
};

TEST(Train, EqualsCountingAfresh) {
  Rng rng(4, Purpose::kTest);
  for (int trial = 0; trial < 120; ++trial) {
    std::vector<std::string> texts;
    for (uint64_t i = 0; i <= rng.Below(3); ++i) {
      texts.push_back(RandomText(rng, kPools[trial % 6], 1 + static_cast<int>(rng.Below(300))));
    }
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const int vocab_size = 261 + static_cast<int>(rng.Below(100));
    const BpeModel fast = TrainBpe(views, vocab_size), slow = TrainSlowly(views, vocab_size);
    ASSERT_EQ(MergesOf(fast), MergesOf(slow)) << texts[0];
    for (size_t id = 0; id < slow.entries.size(); ++id) {
      ASSERT_EQ(fast.entries[id].bytes, slow.entries[id].bytes);
      ASSERT_EQ(fast.entries[id].name, slow.entries[id].name);
    }
  }
}

TEST(Train, StopsWhenNoPairOccursTwice) {
  const std::string_view text = "ab ab cd";
  const BpeModel model = TrainBpe(std::span(&text, 1), 1000);
  ASSERT_EQ(model.merges.size(), 1u);
  EXPECT_EQ(model.entries.back().bytes, "ab");
}

TEST(Train, NothingToLearnFrom) {
  EXPECT_TRUE(TrainBpe({}, 300).merges.empty());
  const std::string_view empty;
  EXPECT_TRUE(TrainBpe(std::span(&empty, 1), 300).merges.empty());
}

// Pieces of one text count like the text, and the number of threads does not show.
TEST(Train, DoesNotDependOnThreads) {
  Rng rng(5, Purpose::kTest);
  const std::string text = RandomText(rng, {"once", " upon", " a", " time", "s", "\n", " t", "he", ".", "x"}, 150000);
  const std::string_view view = text;
  const int before = ThreadCount();
  std::vector<std::vector<std::array<uint16_t, 3>>> merges;
  std::vector<std::string> first_words;
  for (const int threads : {1, 2, 3}) {
    SetThreadCount(threads);
    merges.push_back(MergesOf(TrainBpe(std::span(&view, 1), 400)));
    std::string words;
    for (const auto& [word, count] : CountWords(std::span(&view, 1))) words += word;
    first_words.push_back(words);
  }
  SetThreadCount(before);
  EXPECT_FALSE(merges[0].empty());
  EXPECT_EQ(merges[0], merges[1]);
  EXPECT_EQ(merges[0], merges[2]);
  EXPECT_EQ(first_words[0], first_words[1]);
  EXPECT_EQ(first_words[0], first_words[2]);
}

TEST(CountWords, CountsEveryWordOnce) {
  Rng rng(6, Purpose::kTest);
  const std::string text = RandomText(rng, {"a", "b", " ", "1", "\n", "'s", "."}, 200000);  // several pieces
  std::map<std::string, int64_t> expected, counted;
  WordSplitter splitter(text);
  for (std::string_view word; splitter.Next(word);) ++expected[std::string(word)];
  const std::string_view view = text;
  for (const auto& [word, count] : CountWords(std::span(&view, 1))) {
    EXPECT_TRUE(counted.emplace(std::string(word), count).second);
  }
  EXPECT_EQ(counted, expected);
}

TEST(MergeWord, EqualsTheDefinition) {
  Rng rng(7, Purpose::kTest);
  for (const std::vector<std::string>& pool : kPools) {
    const std::string text = RandomText(rng, pool, 2000);
    const std::string_view view = text;
    const BpeModel model = TrainBpe(std::span(&view, 1), 330);
    const BpeEncoder encoder(model);
    for (int trial = 0; trial < 200; ++trial) {
      const std::string word = RandomText(rng, pool, 1 + static_cast<int>(rng.Below(80)));
      Ids ids;
      encoder.MergeWord(word, ids);
      ASSERT_EQ(ids, MergeSlowly(model, word)) << word;
    }
  }
}

// Ten megabytes without a space: quadratic work would take hours.
TEST(MergeWord, LongWordsStayFast) {
  const std::string run(10'000'000, 'a');
  const std::string_view view = run;
  const BpeModel model = TrainBpe(std::span(&view, 1), 270);
  EXPECT_EQ(model.entries.back().bytes.size(), 1u << model.merges.size());
  Ids ids;
  BpeEncoder(model).Encode(run, ids);
  size_t bytes = 0;
  for (const uint16_t id : ids) bytes += model.entries[id].bytes.size();
  EXPECT_EQ(bytes, run.size());
}

}  // namespace
}  // namespace flashlm
