// Measures of stories that need no judge, for comparing what a model writes with what people write. All of them are
// meant to be read beside the same measure of real stories: none is good by being high.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace flashlm {

struct Story {
  std::string text;
  int64_t tokens = 0;  // without the closing <eos>
  bool ended = true;   // by <eos>; else it was cut off
};

struct StoryMeasures {
  struct Length {
    double mean = 0, median = 0;
  };
  int64_t stories = 0;
  Length tokens, words;
  double stop_rate = 0;  // stories that ended
  // Distinct-n for n = 1, 2, 3 (Li et al. 2016): of the n-grams of words of all stories, how many are different ones.
  // It falls with the number of words, so what is compared is of equally many (`distinct_words`, from the first story
  // on).
  std::array<double, 3> distinct{};
  int64_t distinct_words = 0;
  // Of the 4-grams of words of a story, how many it has had before; the mean of stories that have any.
  double repetition = 0;
  // Names (NameIn of eval/story_text.h): different ones in a story, the mean; and how many of them come again in it,
  // of all names of all stories.
  double names_introduced = 0, names_reused = 0;
  // Words of the longest passage that stands in a training text too, punctuation and case aside; -1: not looked for.
  Length copied_words{-1, -1};
  int64_t longest_copied = -1;
  // Sentences that a grammar parses, of `sentences`; -1: not looked for.
  int64_t sentences = 0;
  double sentences_parsed = -1;
};

// All but what is copied and what parses.
// distinct_words: words that distinct-n is counted over, at most.
StoryMeasures MeasureStories(std::span<const Story> stories, int64_t distinct_words);

// Words of all stories.
int64_t CountWords(std::span<const Story> stories);

// Looks for passages of each set of stories in training texts and fills in copied_words of its measures.
// next_text: gives the training texts one by one, and false after the last.
struct StorySet {
  std::span<const Story> stories;
  StoryMeasures& measures;
};
void FindCopies(std::span<const StorySet> sets, const std::function<bool(std::string& text)>& next_text);

}  // namespace flashlm
