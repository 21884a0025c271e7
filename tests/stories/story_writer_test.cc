#include "stories/story_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <regex>
#include <set>
#include <string>

#include "base/error.h"
#include "stories/grammar.h"

namespace flashlm {
namespace {

constexpr int kStories = 2000;

const std::vector<SyntheticStory>& Stories() {
  static const std::vector<SyntheticStory> stories = [] {
    std::vector<SyntheticStory> made;
    for (int i = 0; i < kStories; ++i) made.push_back(StoryWriter(3).Write(static_cast<uint64_t>(i)));
    return made;
  }();
  return stories;
}

std::set<std::string> WordsOf(const std::string& text) {
  std::set<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      words.insert(word);
      word.clear();
    }
  }
  return words;
}

// The stories in which `pattern` is found; none is expected.
void ExpectNowhere(const std::string& pattern) {
  const std::regex wrong(pattern);
  int shown = 0;
  for (const SyntheticStory& story : Stories()) {
    std::smatch match;
    if (std::regex_search(story.text, match, wrong) && shown++ < 3) {
      ADD_FAILURE() << "'" << match.str() << "' (" << pattern << ") in:\n" << story.text;
    }
  }
}

TEST(Synthetic, IsAPureFunctionOfSeedAndIndex) {
  const StoryWriter writer(7);
  const SyntheticStory late = writer.Write(5);
  EXPECT_EQ(writer.Write(4).text, StoryWriter(7).Write(4).text);
  EXPECT_EQ(late.text, StoryWriter(7).Write(5).text);
  EXPECT_EQ(late.bits, writer.Write(5).bits);
  EXPECT_NE(late.text, writer.Write(6).text);
  EXPECT_NE(late.text, StoryWriter(8).Write(5).text);
}

TEST(Synthetic, EntropyBoundIsStatedAndInRange) {
  const double bound = EntropyBound(1);
  EXPECT_GT(bound, 0.25);
  EXPECT_LT(bound, 0.60);
  EXPECT_NEAR(bound, EntropyBound(2), 0.005);
  for (const SyntheticStory& story : Stories()) EXPECT_GT(story.bits, 80) << story.text;
}

TEST(Synthetic, IsRich) {
  std::set<std::string> words, texts;
  for (const SyntheticStory& story : Stories()) {
    texts.insert(story.text);
    words.merge(WordsOf(story.text));
  }
  EXPECT_EQ(texts.size(), Stories().size());
  EXPECT_GE(words.size(), 1500u);
}

TEST(Synthetic, LeavesNoNotationBehind) { ExpectNowhere(R"([\[\]{}|^_\\]|  | \n|\n\n|/)"); }

TEST(Synthetic, SentencesAreWellFormed) {
  for (const SyntheticStory& story : Stories()) {
    EXPECT_TRUE(std::isupper(static_cast<unsigned char>(story.text.front())) || story.text.front() == '"');
    const char last = story.text.back();
    EXPECT_TRUE(last == '.' || last == '!' || last == '?' || last == '"') << story.text;
    EXPECT_EQ(std::count(story.text.begin(), story.text.end(), '"') % 2, 0) << story.text;
  }
  ExpectNowhere(R"([.!?] [a-z])");                      // a sentence starts small
  ExpectNowhere(R"x((^|\n)"?[a-z])x");                  // a paragraph starts small
  ExpectNowhere(R"x((^|[ \n])"[a-z])x");                // a quotation starts small
  ExpectNowhere(R"x(," (Said|Asked|Cried|Called) )x");  // "..., " Said Tom
  ExpectNowhere(R"([.,!?][.,])");
  ExpectNowhere(R"( [.,!?])");
  ExpectNowhere(R"(\b(\w+) \1\b)");
  // After "!" or "?" in quotation marks, a small letter only continues with who said it.
  const std::regex after_quotation(R"x([!?]" ([a-z][^.!?,"]*))x");
  const std::regex says(
      "said|asked|cried|called|shouted|yelled|gasped|exclaimed|laughed|sang|thought|whispered|murmured");
  for (const SyntheticStory& story : Stories()) {
    for (std::sregex_iterator match(story.text.begin(), story.text.end(), after_quotation), end; match != end;
         ++match) {
      EXPECT_TRUE(std::regex_search((*match)[1].str(), says)) << match->str() << "\n" << story.text;
    }
  }
}

TEST(Synthetic, ArticlesAgreeWithTheNextWord) {
  ExpectNowhere(R"(\b[Aa] [aeioAEIO](?!ne\b))");
  ExpectNowhere(R"(\b[Aa]n [^aeiouhAEIOUH])");
  ExpectNowhere(R"(\b[Aa]n? (some|a|an|the)\b)");
  ExpectNowhere(R"(\b(ys|shs|chs|sss)\b)");
}

TEST(Synthetic, PronounsAgreeWithTheCast) {
  int men_only = 0, women_only = 0;
  for (const SyntheticStory& story : Stories()) {
    ASSERT_FALSE(story.cast.empty());
    std::set<std::string> pronouns;
    for (const StoryCharacter& character : story.cast) pronouns.insert(character.pronoun);
    const std::set<std::string> words = WordsOf(story.text);
    if (!pronouns.contains("she")) {
      ++men_only;
      for (const char* word : {"she", "her", "hers", "herself"}) EXPECT_FALSE(words.contains(word)) << story.text;
    }
    if (!pronouns.contains("he")) {
      ++women_only;
      for (const char* word : {"he", "him", "his", "himself"}) EXPECT_FALSE(words.contains(word)) << story.text;
    }
  }
  EXPECT_GT(men_only, kStories / 20);
  EXPECT_GT(women_only, kStories / 20);
}

TEST(Synthetic, CharactersHaveDifferentNames) {
  for (const SyntheticStory& story : Stories()) {
    std::set<std::string> names;
    for (const StoryCharacter& character : story.cast) {
      if (character.name.empty()) continue;
      EXPECT_TRUE(names.insert(character.name).second) << story.text;
    }
  }
}

TEST(Grammar, NamesWhatIsWrong) {
  const auto expect = [](std::string_view text, const std::string& part) {
    try {
      Grammar({text}, "root");
      ADD_FAILURE() << "no error for: " << text;
    } catch (const Error& e) {
      EXPECT_NE(e.OneLine().find(part), std::string::npos) << e.OneLine();
    }
  };
  expect(":root\na {b} c\n", "nothing is called 'b'");
  expect(":root\na [b c\n", "'[' without ']'");
  expect(":root\na b] c\n", "']' without its partner");
  expect(":root\n{it.x}\n:it once .y\none / two\n", "nothing is called 'it.x'");
  expect(":root\n{it}\n:it once .y\none\n", "has 1 columns, not 2");
  expect(":root\nx\n:other\ny\n", "'other' is never used");
  expect(":other\ny\n", "no rule 'root'");
  expect("stray\n:root\nx\n", "before the first rule");
}

}  // namespace
}  // namespace flashlm
