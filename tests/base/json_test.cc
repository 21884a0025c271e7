#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace flashlm {
namespace {

std::string Refusal(const std::string& text) {
  try {
    ParseJson(text, "f", "write some");
  } catch (const Error& e) {
    EXPECT_EQ(e.hint(), "write some");
    return e.what();
  }
  return "";
}

// In our own words: the parser's change with its version and mean little to a reader.
TEST(ParseJson, NamesThePlace) {
  EXPECT_EQ(Refusal("{\"a\": [1, 2]}"), "");
  EXPECT_EQ(Refusal(""), "f: not valid JSON at column 1");
  EXPECT_EQ(Refusal("{\"a\": 1,}"), "f: not valid JSON at column 9");
  EXPECT_EQ(Refusal("nothing"), "f: not valid JSON at column 2");
  EXPECT_EQ(Refusal("{\n\"a\": 1\n  \"b\": 2}"), "f: not valid JSON at line 3, column 5");
  EXPECT_EQ(Refusal("{\n"), "f: not valid JSON at line 2, column 1");
  EXPECT_EQ(Refusal("1e999"), "f: not valid JSON");
}

// Of two readers one would take the first and one the last.
TEST(ParseJson, RefusesANameThatStandsTwice) {
  EXPECT_NE(Refusal(R"({"a": 1, "b": {"a": 2, "c": 3, "c": 4}})").find("\"c\""), std::string::npos);
  EXPECT_EQ(Refusal(R"({"a": {"b": 1}, "c": [{"b": 2}, {"b": 3}]})"), "");
}

// Deeper than anything that is meant, and than what copying and writing bear.
TEST(ParseJson, RefusesWhatIsNestedWithoutEnd) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(ParseJson(nested(100), "f"));
  EXPECT_THROW(ParseJson(nested(101), "f"), Error);
  EXPECT_THROW(ParseJson(nested(1'000'000), "f"), Error);
  EXPECT_NO_THROW(ParseJson("[\"\\\"" + std::string(1000, '[') + "\"]", "f"));  // letters of a text
}

}  // namespace
}  // namespace flashlm
