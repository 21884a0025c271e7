#include "infer/utf8_stream.h"

#include <gtest/gtest.h>

namespace flashlm {
namespace {

constexpr std::string_view kBroken = "\xEF\xBF\xBD";

// What comes out when the bytes go in one by one; also checks that every piece ends with a whole character.
std::string ByteByByte(std::string_view bytes) {
  Utf8Stream stream;
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const std::string_view piece = stream.Push(bytes.substr(i, 1));
    if (!piece.empty()) {
      Utf8Stream check;
      EXPECT_EQ(check.Push(piece), piece);
    }
    out += piece;
  }
  return out += stream.Finish();
}

std::string AtOnce(std::string_view bytes) {
  Utf8Stream stream;
  std::string out(stream.Push(bytes));
  return out += stream.Finish();
}

TEST(Utf8Stream, PassesWholeCharacters) {
  const std::string text = "a\u00e9\u20ac\U0001F600z\n";
  EXPECT_EQ(AtOnce(text), text);
  EXPECT_EQ(ByteByByte(text), text);
}

TEST(Utf8Stream, HoldsBackWhatIsIncomplete) {
  Utf8Stream stream;
  EXPECT_EQ(stream.Push("x\xE2\x82"), "x");
  EXPECT_EQ(stream.Push(""), "");
  EXPECT_EQ(stream.Push("\xAC!"), "\u20ac!");
  EXPECT_EQ(stream.Push("\xF0\x9F"), "");
  EXPECT_EQ(stream.Finish(), kBroken);
  EXPECT_EQ(stream.Finish(), "");
}

TEST(Utf8Stream, ReplacesWhatCanBeNoCharacter) {
  const std::string r(kBroken);
  const std::pair<std::string, std::string> cases[] = {
      {"\xFF", r},
      {"\x80", r},
      {"\xC0\xAF", r + r},                  // overlong
      {"\xE0\x9F\x80", r + r + r},          // overlong
      {"\xED\xA0\x80", r + r + r},          // a surrogate
      {"\xF4\x90\x80\x80", r + r + r + r},  // above U+10FFFF
      {"\xE2\x82", r},                      // ends too early: one piece
      {"\xE2\x82z", r + "z"},
      {"\xF0\x9F\x98\xE2\x82\xAC", r + "\u20ac"},
  };
  for (const auto& [in, out] : cases) {
    EXPECT_EQ(AtOnce(in), out);
    EXPECT_EQ(ByteByByte(in), out);
  }
}

}  // namespace
}  // namespace flashlm
