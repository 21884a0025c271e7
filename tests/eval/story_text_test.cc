#include "eval/story_text.h"

#include <gtest/gtest.h>

#include "eval/grammar.h"

namespace flashlm {
namespace {

std::vector<std::string> Names(const std::string& text) {
  std::vector<std::string> names;
  for (const Word& word : WordsOf(text)) {
    if (const auto name = NameIn(word); !name.empty()) names.emplace_back(name);
  }
  return names;
}

using Texts = std::vector<std::string>;

TEST(StoryText, TypographyBecomesAscii) {
  EXPECT_EQ(PlainText("\u201cIt\u2019s a caf\u00e9\u2026\u201d"), "\"It's a caf\u00e9...\"");
  EXPECT_EQ(PlainText("so\u2014then"), "so - then");
  EXPECT_EQ(PlainText("cut \xE2\x80"), "cut \xE2\x80");
}

TEST(StoryText, WordsAreLettersWithApostrophesAndHyphensInside) {
  Texts words;
  const std::string text = "\"Don't,\" said well-known caf\u00e9 'Tom' - 3 times.";
  for (const Word& word : WordsOf(text)) words.emplace_back(word.text);
  EXPECT_EQ(words, (Texts{"Don't", "said", "well-known", "caf\u00e9", "Tom", "3", "times"}));
  EXPECT_EQ(LowerCase("Don't"), "don't");
  EXPECT_TRUE(WordsOf(" -- '!").empty());
}

TEST(StoryText, NamesAreCapitalisedWhereThatSaysSomething) {
  EXPECT_EQ(Names("The dog saw Tom. He and I ran to Lily's house. Then TV."), (Texts{"Tom", "Lily"}));
  EXPECT_EQ(Names("He said, \"Come, Anna!\" \"No,\" Ben said: Never. Then\nTim ran."), (Texts{"Anna", "Ben"}));
  EXPECT_TRUE(Names("I'm at A b.").empty());
}

TEST(StoryText, SentencesEndWithAStopThatABlankFollows) {
  EXPECT_EQ(SentencesOf("Tom has 3.5 cats.  He is\nhappy! \"Look!\" he said. \"Why? I saw it.\" And"),
            (Texts{"Tom has 3.5 cats.", "He is happy!", "Look! he said.", "Why?", "I saw it."}));
  EXPECT_EQ(SentencesOf("Oh... no?! \"Yes.\""), (Texts{"Oh... no?!", "Yes."}));
  EXPECT_TRUE(SentencesOf("without a stop").empty());
  EXPECT_TRUE(SentencesOf("\" ... ! .").empty());
}

TEST(Grammar, TellsSentencesFromWords) {
  std::string why_not;
  const auto grammar = Grammar::Open(why_not);
  if (grammar == nullptr) {
    EXPECT_NE(why_not.find("install"), std::string::npos);
    GTEST_SKIP() << why_not;
  }
  EXPECT_EQ(grammar->Name().find("link-grammar"), 0u);
  for (const char* sentence : {"The little cat was happy.", "Tom gave the ball to his friend.", "She likes to play."}) {
    EXPECT_TRUE(grammar->Parses(sentence)) << sentence;
  }
  for (const char* words :
       {"Happy cat the was little.", "Ball the to his gave friend Tom.", "The cats was running of."}) {
    EXPECT_FALSE(grammar->Parses(words)) << words;
  }
  EXPECT_FALSE(grammar->Parses("\xff\xfe"));
}

}  // namespace
}  // namespace flashlm
