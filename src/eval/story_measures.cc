#include "eval/story_measures.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string_view>
#include <unordered_map>

#include "eval/copied_words.h"
#include "eval/story_text.h"

namespace flashlm {
namespace {

// Words, in lower case, as numbers.
class Numbers {
 public:
  // -1 for a word that is not known; with `learn` it then becomes known.
  std::vector<int> Of(std::string_view text, bool learn) {
    const std::string plain = PlainText(text);
    std::vector<int> numbers;
    for (const Word& word : WordsOf(plain)) {
      std::string key = LowerCase(word.text);
      if (learn) {
        numbers.push_back(known_.try_emplace(std::move(key), static_cast<int>(known_.size())).first->second);
      } else {
        const auto found = known_.find(key);
        numbers.push_back(found == known_.end() ? -1 : found->second);
      }
    }
    return numbers;
  }

 private:
  std::unordered_map<std::string, int> known_;
};

StoryMeasures::Length LengthOf(std::vector<int64_t> counts) {
  if (counts.empty()) return {};
  const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  std::sort(counts.begin(), counts.end());
  const size_t half = counts.size() / 2;
  const auto upper = static_cast<double>(counts[half]);
  return {mean, counts.size() % 2 == 1 ? upper : (static_cast<double>(counts[half - 1]) + upper) / 2};
}

double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

// Over the first `most` words of all stories; n-grams do not run from one story into the next.
double Distinct(const std::vector<std::vector<int>>& stories, int64_t n, int64_t most) {
  std::set<std::array<int, 3>> different;
  int64_t all = 0;
  for (const std::vector<int>& words : stories) {
    const int64_t count = std::min(std::ssize(words), most);
    most -= count;
    for (int64_t i = 0; i + n <= count; ++i, ++all) {
      std::array<int, 3> gram = {-1, -1, -1};
      std::copy_n(words.begin() + i, n, gram.begin());
      different.insert(gram);
    }
  }
  return Share(static_cast<double>(different.size()), static_cast<double>(all));
}

double Repetition(const std::vector<std::vector<int>>& stories) {
  constexpr int64_t kWords = 4;
  double sum = 0, count = 0;
  for (const std::vector<int>& words : stories) {
    std::set<std::array<int, kWords>> different;
    int64_t all = 0;
    for (; all + kWords <= std::ssize(words); ++all) {
      std::array<int, kWords> gram;
      std::copy_n(words.begin() + all, kWords, gram.begin());
      different.insert(gram);
    }
    if (all == 0) continue;
    sum += 1 - static_cast<double>(different.size()) / static_cast<double>(all);
    ++count;
  }
  return Share(sum, count);
}

struct Names {
  int64_t introduced = 0, reused = 0;
};

Names NamesOf(const std::string& text) {
  const std::string plain = PlainText(text);
  const std::vector<Word> words = WordsOf(plain);
  std::map<std::string_view, int64_t> times;
  for (const Word& word : words) {
    if (const std::string_view name = NameIn(word); !name.empty()) times[name] = 0;
  }
  for (Word word : words) {
    word.after_stop = false;  // a name that is known is one at a sentence's start as well
    if (const auto found = times.find(NameIn(word)); found != times.end()) ++found->second;
  }
  Names names;
  for (const auto& [name, count] : times) {
    ++names.introduced;
    names.reused += count > 1;
  }
  return names;
}

}  // namespace

int64_t CountWords(std::span<const Story> stories) {
  int64_t words = 0;
  for (const Story& story : stories) words += std::ssize(WordsOf(PlainText(story.text)));
  return words;
}

StoryMeasures MeasureStories(std::span<const Story> stories, int64_t distinct_words) {
  StoryMeasures measures;
  Numbers numbers;
  std::vector<std::vector<int>> words;
  std::vector<int64_t> token_counts, word_counts;
  Names names;
  double ended = 0;
  for (const Story& story : stories) {
    words.push_back(numbers.Of(story.text, /*learn=*/true));
    token_counts.push_back(story.tokens);
    word_counts.push_back(std::ssize(words.back()));
    ended += story.ended;
    const Names in_story = NamesOf(story.text);
    names.introduced += in_story.introduced;
    names.reused += in_story.reused;
  }
  const auto count = static_cast<double>(stories.size());
  measures.stories = std::ssize(stories);
  measures.distinct_words =
      std::min(distinct_words, std::accumulate(word_counts.begin(), word_counts.end(), int64_t{0}));
  measures.tokens = LengthOf(std::move(token_counts));
  measures.words = LengthOf(std::move(word_counts));
  measures.stop_rate = Share(ended, count);
  for (size_t n = 0; n < measures.distinct.size(); ++n) {
    measures.distinct[n] = Distinct(words, static_cast<int64_t>(n) + 1, distinct_words);
  }
  measures.repetition = Repetition(words);
  measures.names_introduced = Share(static_cast<double>(names.introduced), count);
  measures.names_reused = Share(static_cast<double>(names.reused), static_cast<double>(names.introduced));
  return measures;
}

void FindCopies(std::span<const StorySet> sets, const std::function<bool(std::string& text)>& next_text) {
  Numbers numbers;
  CopiedWords copied;
  for (const StorySet& set : sets) {
    for (const Story& story : set.stories) copied.Add(numbers.Of(story.text, /*learn=*/true));
  }
  for (std::string text; next_text(text);) copied.Read(numbers.Of(text, /*learn=*/false));
  for (const StorySet& set : sets) {
    std::vector<int64_t> longest;
    for (const Story& story : set.stories) longest.push_back(copied.Longest(numbers.Of(story.text, /*learn=*/false)));
    if (longest.empty()) continue;
    set.measures.longest_copied = *std::max_element(longest.begin(), longest.end());
    set.measures.copied_words = LengthOf(std::move(longest));
  }
}

}  // namespace flashlm
