#include "eval/story_measures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <climits>

#include "base/rng.h"
#include "eval/copied_words.h"

namespace flashlm {
namespace {

using Words = std::vector<int>;

std::vector<Words> RandomTexts(uint64_t seed, int count, uint64_t longest, uint64_t kinds) {
  Rng rng(seed, Purpose::kTest);
  std::vector<Words> texts(static_cast<size_t>(count));
  for (Words& text : texts) {
    text.resize(rng.Below(longest + 1));
    for (int& word : text) word = static_cast<int>(rng.Below(kinds));
  }
  return texts;
}

// By trying all passages.
int LongestCommon(const Words& text, const std::vector<Words>& others) {
  int longest = 0;
  for (const Words& other : others) {
    for (size_t i = 0; i < text.size(); ++i) {
      for (size_t j = 0; j < other.size(); ++j) {
        int length = 0;
        while (i + length < text.size() && j + length < other.size() && text[i + length] == other[j + length]) ++length;
        longest = std::max(longest, length);
      }
    }
  }
  return longest;
}

TEST(CopiedWords, FindsTheLongestCommonPassageOfEveryText) {
  for (const uint64_t kinds : {1, 2, 3, 5, 30}) {
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const auto texts = RandomTexts(seed, 6, 25, kinds);
      auto sources = RandomTexts(1000 + seed, 4, 25, kinds);
      for (Words& source : sources) {
        if (source.size() > 10) source[5] = -1;  // a word that no text has
      }
      CopiedWords copied;
      for (const Words& text : texts) copied.Add(text);
      for (const Words& text : texts) ASSERT_EQ(copied.Longest(text), 0) << "nothing was read";
      for (size_t s = 0; s < sources.size(); ++s) {
        copied.Read(sources[s]);
        const std::vector<Words> read(sources.begin(), sources.begin() + static_cast<int64_t>(s) + 1);
        for (const Words& text : texts)
          ASSERT_EQ(copied.Longest(text), LongestCommon(text, read)) << kinds << " " << seed;
      }
    }
  }
}

Story MakeStory(const std::string& text, int64_t tokens = 10, bool ended = true) { return {text, tokens, ended}; }

TEST(StoryMeasures, CountLengthsAndEnds) {
  const std::vector<Story> stories = {MakeStory("One two.", 3), MakeStory("One two three four.", 5, false),
                                      MakeStory("One.", 10), MakeStory("one TWO three.", 4)};
  const StoryMeasures measures = MeasureStories(stories, LLONG_MAX);
  EXPECT_EQ(measures.stories, 4);
  EXPECT_DOUBLE_EQ(measures.tokens.mean, 5.5);
  EXPECT_DOUBLE_EQ(measures.tokens.median, 4.5);
  EXPECT_DOUBLE_EQ(measures.words.mean, 2.5);
  EXPECT_DOUBLE_EQ(measures.words.median, 2.5);
  EXPECT_DOUBLE_EQ(measures.stop_rate, 0.75);
  EXPECT_EQ(CountWords(stories), 10);
}

TEST(StoryMeasures, DistinctNGramsAreOfAllStoriesAndOfEquallyManyWords) {
  // 1-grams: a b c a b, a b d; 2-grams within stories only.
  const std::vector<Story> stories = {MakeStory("A b c a b."), MakeStory("a b d")};
  const StoryMeasures all = MeasureStories(stories, 100);
  EXPECT_EQ(all.distinct_words, 8);
  EXPECT_DOUBLE_EQ(all.distinct[0], 4.0 / 8);
  EXPECT_DOUBLE_EQ(all.distinct[1], 4.0 / 6);  // ab bc ca ab, ab bd
  EXPECT_DOUBLE_EQ(all.distinct[2], 4.0 / 4);  // abc bca cab, abd
  const StoryMeasures first = MeasureStories(stories, 6);
  EXPECT_EQ(first.distinct_words, 6);
  EXPECT_DOUBLE_EQ(first.distinct[0], 3.0 / 6);
  EXPECT_DOUBLE_EQ(first.distinct[1], 3.0 / 4);
}

TEST(StoryMeasures, RepetitionIsWithinAStory) {
  const std::vector<Story> stories = {MakeStory("the cat ran away the cat ran away"),  // 5 4-grams, 4 different
                                      MakeStory("the cat ran away"), MakeStory("too short it")};
  EXPECT_DOUBLE_EQ(MeasureStories(stories, 100).repetition, (0.2 + 0) / 2);
}

TEST(StoryMeasures, NamesAreIntroducedAndComeAgain) {
  const std::vector<Story> stories = {
      MakeStory("There was Tom. Tom met Lily and Ben. Lily's cat ran."),  // Tom and Lily come again
      MakeStory("There was a cat. Tom saw it.")};                         // Tom at a sentence's start only
  const StoryMeasures measures = MeasureStories(stories, 100);
  EXPECT_DOUBLE_EQ(measures.names_introduced, 1.5);
  EXPECT_DOUBLE_EQ(measures.names_reused, 2.0 / 3);
}

TEST(StoryMeasures, CopiesIgnorePunctuationAndCaseAndAreOfOneText) {
  const std::vector<Story> written = {MakeStory("The big dog ran to Tom."), MakeStory("Nothing like it")};
  const std::vector<Story> real = {MakeStory("He saw the sun")};
  StoryMeasures of_written, of_real;
  const std::array sets = {StorySet{written, of_written}, StorySet{real, of_real}};
  const std::vector<std::string> training = {"A big dog, ran \u201cto\u201d", "Tom saw the sun. He saw", "the sun"};
  size_t next = 0;
  FindCopies(sets, [&](std::string& text) {
    if (next == training.size()) return false;
    text = training[next++];
    return true;
  });
  EXPECT_EQ(of_written.longest_copied, 4);  // big dog ran to
  EXPECT_DOUBLE_EQ(of_written.copied_words.mean, 2);
  EXPECT_EQ(of_real.longest_copied, 3);
  EXPECT_EQ(MeasureStories(written, 100).longest_copied, -1);
}

TEST(StoryMeasures, StoriesWithoutWordsAreMeasured) {
  const std::vector<Story> stories = {MakeStory("", 0), MakeStory("...", 1)};
  const StoryMeasures measures = MeasureStories(stories, 0);
  EXPECT_EQ(measures.words.mean, 0);
  for (const double distinct : measures.distinct) EXPECT_EQ(distinct, 0);
  EXPECT_EQ(measures.repetition, 0);
  EXPECT_EQ(measures.names_reused, 0);
}

}  // namespace
}  // namespace flashlm
