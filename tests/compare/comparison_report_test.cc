#include "compare/comparison_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

namespace flashlm {
namespace {

Json Example() {
  Json row = {{"preset", "one"},
              {"parameters", 6'566'400},
              {"ternary_share", 0.557},
              {"tokens", 3'320'000},
              {"tokens_per_s", 5534.4},
              {"peak_rss_mb", 412.0},
              {"bits_per_byte", 0.8061},
              {"stderr_bits_per_byte", 0.003},
              {"decode_tokens_per_s", 1860.0},
              {"prompt", "Once"},
              {"sample", " <b>there & |was*"},
              {"cpu", "a CPU"},
              {"threads", 2},
              {"precision", "bf16"},
              {"documents", 300}};
  for (int i = 1; i <= 40; ++i) {
    row["curve"].push_back({{"tokens", 1e5 * i}, {"seconds", 3.0 * i}, {"bits_per_byte", 0.8 + 3.0 / i}});
  }
  row["curve"][5]["bits_per_byte"] = nullptr;  // was not finite
  Json comparison;
  comparison["settings"] = {
      {"data", "data/x"}, {"text", ""}, {"seed", 1}, {"budget", {{"kind", "time"}, {"amount", 300}}}};
  comparison["rows"] = {row, {{"preset", "two"}, {"error", "too <wide> | by far"}}};
  return comparison;
}

int Count(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  return static_cast<int>(std::distance(std::sregex_iterator(text.begin(), text.end(), expression), {}));
}

TEST(ComparisonReport, MarkdownIsOneTable) {
  const std::string markdown = ComparisonMarkdown(Example());
  for (const char* part : {"| one | 6,566,400 | 55.7 % | 3.32 M | 5,534 | 412 MB | 0.8061 ± 0.0030 | 1,860 |",
                           "| two | failed: too \\<wide> \\| by far |", "5:00 of training on data/x, seed 1",
                           "**one**: *Once* \\<b>there & \\|was\\*"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  // Every line of the table has as many cells.
  const std::string table = std::regex_replace(markdown.substr(0, markdown.find("\n\n")), std::regex(R"(\\\|)"), "");
  EXPECT_EQ(std::count(table.begin(), table.end(), '|'), 4 * 9);
}

TEST(ComparisonReport, HtmlStandsAlone) {
  const std::string html = ComparisonHtml(Example());
  for (const char* absent : {"<script", "http", "src=", "<wide>", "<b>there", "nan", "null"}) {
    EXPECT_EQ(html.find(absent), std::string::npos) << absent;
  }
  for (const char* present : {"prefers-color-scheme: dark", "width=device-width", "&lt;b&gt;there &amp; |was*",
                              "failed: too &lt;wide&gt; | by far", "0.8061 ± 0.0030"}) {
    EXPECT_NE(html.find(present), std::string::npos) << present;
  }
  EXPECT_EQ(Count(html, "<svg viewBox"), 2);
  EXPECT_EQ(Count(html, "<path class=\"line c0\" d=\"M[0-9]"), 3);  // a key and two curves
  for (const char* element : {"svg", "table", "tr", "td", "th", "text", "div", "p", "blockquote"}) {
    EXPECT_EQ(Count(html, std::string("<") + element + "[ >]"), Count(html, std::string("</") + element + ">"))
        << element;
  }
}

TEST(ComparisonReport, NothingButFailuresIsStillAPage) {
  Json comparison = Example();
  comparison["rows"].erase(0);
  EXPECT_NE(ComparisonHtml(comparison).find("failed"), std::string::npos);
  EXPECT_NE(ComparisonMarkdown(comparison).find("failed"), std::string::npos);
  comparison["rows"] = Json::array();
  EXPECT_EQ(Count(ComparisonHtml(comparison), "<svg"), 0);
}

}  // namespace
}  // namespace flashlm
