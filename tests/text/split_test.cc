#include "text/split.h"

#include <gtest/gtest.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string>
#include <vector>

#include "tests/text/text_testing.h"

namespace flashlm {
namespace {

constexpr char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Regex {
 public:
  explicit Regex(const char* pattern) {
    int error = 0;
    size_t offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error,
                          &offset, nullptr);
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
    match_ = pcre2_match_data_create(1, nullptr);
  }
  ~Regex() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }

  // End of the match that starts exactly at `start`, or `start` if there is none. `text` is valid UTF-8.
  size_t MatchAt(std::string_view text, size_t start) const {
    const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start,
                                  PCRE2_NO_UTF_CHECK, match_, nullptr);
    const size_t* range = pcre2_get_ovector_pointer(match_);
    return found >= 0 && range[0] == start ? range[1] : start;
  }

 private:
  pcre2_code* code_;
  pcre2_match_data* match_;
};

std::vector<std::string> SplitByRegex(const Regex& gpt2, std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = gpt2.MatchAt(text, at);
    if (end == at) {
      ADD_FAILURE() << "the pattern leaves out byte " << at;
      break;
    }
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> words;
  WordSplitter splitter(text);
  for (std::string_view word; splitter.Next(word);) words.emplace_back(word);
  return words;
}

std::vector<size_t> Lengths(const std::vector<std::string>& words) {
  std::vector<size_t> lengths;
  for (const std::string& word : words) lengths.push_back(word.size());
  return lengths;
}

CharClass ClassByRegex(uint32_t code_point) {
  static const Regex letter("\\p{L}"), number("\\p{N}"), space("\\s");
  const std::string text = Utf8(code_point);
  if (letter.MatchAt(text, 0)) return CharClass::kLetter;
  if (number.MatchAt(text, 0)) return CharClass::kNumber;
  return space.MatchAt(text, 0) ? CharClass::kSpace : CharClass::kOther;
}

bool IsSurrogate(uint32_t code_point) { return code_point >= 0xD800 && code_point < 0xE000; }

// The regex library may know an older or a newer Unicode: then one side sees an unassigned code point.
TEST(CharClass, DiffersFromPcre2OnlyWhereUnicodeVersionsDiffer) {
  int differences = 0;
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (IsSurrogate(c) || ClassOf(c) == ClassByRegex(c)) continue;
    ++differences;
    EXPECT_TRUE(ClassOf(c) == CharClass::kOther || ClassByRegex(c) == CharClass::kOther) << c;
    EXPECT_GT(c, 0x7Fu);
  }
  EXPECT_LT(differences, 20000);  // 9,393 for PCRE2 10.42
}

TEST(CharClass, SamplesOfUnicode16) {
  for (const uint32_t space : {0x09u, 0x0Du, 0x20u, 0x85u, 0xA0u, 0x1680u, 0x2028u, 0x202Fu, 0x3000u}) {
    EXPECT_EQ(ClassOf(space), CharClass::kSpace) << space;
  }
  for (const uint32_t other : {0x00u, 0x1Cu, 0x0301u, 0x180Eu, 0x200Bu, 0x200Du, 0xFEFFu, 0x1F600u, 0x10FFFFu}) {
    EXPECT_EQ(ClassOf(other), CharClass::kOther) << other;
  }
  for (const uint32_t number : {0x30u, 0xB2u, 0xBDu, 0x0663u, 0x2167u, 0x10D40u}) {
    EXPECT_EQ(ClassOf(number), CharClass::kNumber) << number;
  }
  for (const uint32_t letter : {0x41u, 0xAAu, 0x3042u, 0x4E00u, 0x20000u, 0xA7CBu, 0x105C0u, 0x323AFu}) {
    EXPECT_EQ(ClassOf(letter), CharClass::kLetter) << letter;
  }
}

TEST(WordSplitter, Examples) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(Split(""), Words());
  EXPECT_EQ(Split("Lily didn't."), (Words{"Lily", " didn", "'t", "."}));
  EXPECT_EQ(Split("we'll we've 'S"), (Words{"we", "'ll", " we", "'ve", " '", "S"}));
  EXPECT_EQ(Split("a  b \n"), (Words{"a", " ", " b", " \n"}));
  EXPECT_EQ(Split("\n\n\nx"), (Words{"\n\n", "\n", "x"}));
  EXPECT_EQ(Split("7 days!? 3rd"), (Words{"7", " days", "!?", " 3", "rd"}));
  EXPECT_EQ(Split("<|endoftext|>"), (Words{"<|", "endoftext", "|>"}));
}

TEST(WordSplitter, EqualsTheRegexOnRandomText) {
  std::vector<std::string> pools[] = {
      {"'", "s", "t", "r", "e", "v", "l", "m", "d", " "},
      {"a", "Z", "0", "9", " ", "\t", "\r\n", "\n", ".", "!", "'", "\x01", std::string(1, '\0')},
      {"a", " ", Utf8(0x85), Utf8(0xA0), Utf8(0x1680), Utf8(0x2003), Utf8(0x2028), Utf8(0x3000), "1", "-"},
      {"e", Utf8(0x301), Utf8(0x200D), Utf8(0x1F469), Utf8(0xFE0F), Utf8(0x65E5), Utf8(0x0663), Utf8(0xBD), " "},
      {},
  };
  for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 7) {
    if (!IsSurrogate(c) && ClassOf(c) == ClassByRegex(c)) pools[4].push_back(Utf8(c));
  }
  const Regex gpt2(kGpt2Pattern);
  Rng rng(1, Purpose::kTest);
  for (int trial = 0; trial < 4000; ++trial) {
    const std::string text = RandomText(rng, pools[trial % 5], 1 + static_cast<int>(rng.Below(60)));
    ASSERT_EQ(Split(text), SplitByRegex(gpt2, text)) << text;
  }
}

TEST(WordSplitter, EqualsTheRegexOnRealText) {
  const std::string text = RealText();
  if (text.empty()) GTEST_SKIP() << kNoRealText;
  EXPECT_EQ(Split(text), SplitByRegex(Regex(kGpt2Pattern), text));
}

// A byte outside valid UTF-8 splits like '#', which is as long and neither letter, number nor space.
TEST(WordSplitter, InvalidBytesAreSymbols) {
  const std::string invalid[] = {
      "\x80",         "\xBF",         "\xC0\x80",         "\xC1\xBF",         "\xC3",         "\xE0\x80\x80",
      "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",     "\xE6\x97",         "\xF0\x9F\x98", "\xF0\x8F\xBF\xBF",
      "\xF5",         "\xFF",         "\xF4\x90\x80\x80", "\xF8\x88\x80\x80",
  };
  for (const std::string& bytes : invalid) {
    for (const std::string before : {"", "a", " ", "a ", "1", "  ", "'"}) {
      for (const std::string after : {"", "a", " ", " b", "2", "s", "\n"}) {
        const std::string symbols(bytes.size(), '#');
        EXPECT_EQ(Lengths(Split(before + bytes + after)), Lengths(Split(before + symbols + after))) << bytes;
      }
    }
  }
}

TEST(WordSplitter, WordsJoinToTheText) {
  Rng rng(2, Purpose::kTest);
  for (int trial = 0; trial < 2000; ++trial) {
    const std::string text = RandomBytes(rng, rng.Below(200));
    std::string joined;
    for (const std::string& word : Split(text)) {
      EXPECT_FALSE(word.empty());
      joined += word;
    }
    EXPECT_EQ(joined, text);
  }
}

TEST(SafeCut, DoesNotChangeTheSplit) {
  const std::vector<std::string> symbols = {"a", "'", "s", "1", ".", " ", "\n", "\t", Utf8(0xA0), Utf8(0xE9), "\xC3"};
  Rng rng(3, Purpose::kTest);
  int cuts = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const std::string text = RandomText(rng, symbols, 30);
    const size_t cut = SafeCut(text, rng.Below(text.size()));
    cuts += cut < text.size();
    std::vector<std::string> words = Split(text.substr(0, cut));
    for (const std::string& word : Split(text.substr(cut))) words.push_back(word);
    ASSERT_EQ(words, Split(text)) << text;
  }
  EXPECT_GT(cuts, 1000);
  EXPECT_EQ(SafeCut("abc", 0), 3u);
  EXPECT_EQ(SafeCut("", 0), 0u);
}

}  // namespace
}  // namespace flashlm
