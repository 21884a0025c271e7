#include "serve/written_text.h"

#include <gtest/gtest.h>

namespace flashlm {
namespace {

// Everything that is shown of a text that comes in these pieces.
std::string Shown(const std::vector<std::string>& pieces, const std::vector<std::string>& stops,
                  bool* stopped = nullptr) {
  WrittenText text(stops);
  std::string shown;
  for (const std::string& piece : pieces) {
    const std::string now = text.Add(piece);
    shown += now;
    EXPECT_EQ(text.shown(), WrittenText::Characters(shown));
    EXPECT_GE(text.known(), text.shown());
    if (text.stopped()) break;
  }
  shown += text.Finish();
  if (stopped != nullptr) *stopped = text.stopped();
  return shown;
}

TEST(WrittenText, HoldsBackWhatMayBecomeAStop) {
  WrittenText text({"\n\nThe", "END"});
  EXPECT_EQ(text.Add("One"), "One");
  EXPECT_EQ(text.Add(" E"), " ");
  EXPECT_EQ(text.Add("N"), "");
  EXPECT_EQ(text.Add("ough"), "ENough");
  EXPECT_EQ(text.Add("\n"), "");
  EXPECT_EQ(text.Add("\n"), "");
  EXPECT_EQ(text.Add("\nT"), "\n");
  EXPECT_FALSE(text.stopped());
  EXPECT_EQ(text.Add("hen"), "");
  EXPECT_TRUE(text.stopped());
  EXPECT_EQ(text.Finish(), "");
}

TEST(WrittenText, StopsAreFoundHoweverTheTextIsCut) {
  const std::string whole = "aab aabaab. aabaac tail";
  for (const std::string stop : {"aabaac", "aac", " tail", "aab a"}) {
    const std::string expected = whole.substr(0, whole.find(stop));
    for (size_t first = 0; first < whole.size(); ++first) {
      for (size_t second = first; second < whole.size(); ++second) {
        bool stopped = false;
        EXPECT_EQ(Shown({whole.substr(0, first), whole.substr(first, second - first), whole.substr(second)}, {stop},
                        &stopped),
                  expected);
        EXPECT_TRUE(stopped);
      }
    }
  }
  EXPECT_EQ(Shown({"abc", "abd"}, {"abx"}), "abcabd");
  EXPECT_EQ(Shown({"a", "b"}, {"b", "ab"}), "") << "the earliest";
}

TEST(WrittenText, CharactersAreWhole) {
  EXPECT_EQ(Shown({"caf\xc3", "\xa9!"}, {}), "café!");
  EXPECT_EQ(Shown({"cut \xf0\x9f\x90"}, {}), "cut \xef\xbf\xbd");
  EXPECT_EQ(Shown({"caf\xc3", "\xa9!"}, {"é"}), "caf");
}

TEST(WrittenText, CharactersOfTokens) {
  WrittenText text({});
  const auto add = [&](std::string_view bytes) {
    const int64_t at = text.CharacterOf(bytes);
    text.Add(bytes);
    return at;
  };
  EXPECT_EQ(add("ca"), 0);
  EXPECT_EQ(add("f\xc3"), 2);
  EXPECT_EQ(add("\xa9!"), 3) << "the character that the one before has begun";
  EXPECT_EQ(add("\xf0\x9f"), 5);
  EXPECT_EQ(add("\x90"), 5);
  EXPECT_EQ(add(" x"), 6) << "what was begun is a replacement character now";
  EXPECT_EQ(add("\x80"), 8);
  EXPECT_EQ(add("\xc3"), 9);
  EXPECT_EQ(add("\xe2"), 10);
  EXPECT_EQ(text.CharacterOf(""), 11);
}

TEST(TokenName, NamesWhatIsNoText) {
  EXPECT_EQ(TokenName(3, ""), "<eos>");
  EXPECT_EQ(TokenName(100, " cat"), " cat");
  EXPECT_EQ(TokenName(100, "\xe2\x80"), "bytes:\\xe2\\x80");
  EXPECT_EQ(TokenName(100, "é"), "é");
}

}  // namespace
}  // namespace flashlm
