#include "compare/comparison_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "tests/report/page_testing.h"

namespace flashlm {
namespace {

Comparison Example() {
  ComparisonRow row;
  row.name = row.preset = "one";
  row.result.params = 6'566'400;
  row.result.tokens = 3'320'000;
  row.result.steps = row.result.measured_step = 400;
  row.result.seconds = 300;
  row.result.tok_per_sec = 5534.4;
  row.result.peak_rss_mb = 412;
  row.result.val_bits_per_byte = 0.8061;
  row.result.stderr_bits_per_byte = 0.003;
  row.result.cpu = "a CPU";
  row.result.threads = 2;
  row.result.precision = "bf16";
  row.ternary_share = 0.557;
  row.decode_tokens_per_s = 1860;
  row.prompt = "Once";
  row.sample = " <b>there & |was*";
  for (int i = 1; i <= 40; ++i) row.curve.push_back({1e5 * i, 3.0 * i, 0.8 + 3.0 / i});
  row.curve[5].bits_per_byte = RunResult::kUnknown;  // was not finite
  ComparisonRow failed;
  failed.name = failed.preset = "two";
  failed.error = "too <wide> | by far";
  CompareSettings settings;
  settings.data = "data/x";
  settings.budget = Budget::Time("5m");
  settings.contenders = {{"one", "", "", {}}, {"two", "", "", {}}};
  return Conclude(settings, {failed, row});
}

// Two variants with three seeds; one of them failed with one.
Comparison WithSeeds() {
  Comparison one = Example();
  std::vector<ComparisonRow> rows;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    for (const char* variant : {"as it is", "narrow"}) {
      ComparisonRow row = one.rows[0];
      row.variant = variant;
      row.name = Contender{"one", "", variant, {}}.Name();
      row.result.seed = seed;
      row.result.documents_evaluated = seed == 3 ? 800 : 1000;
      row.result.val_bits_per_byte = 0.80 + 0.01 * static_cast<double>(seed * seed);
      if (row.variant == "narrow") row.result.val_bits_per_byte += 0.05 + 0.001 * static_cast<double>(seed);
      if (row.variant == "narrow" && seed == 1) {
        row.error = "a full disk";
        row.curve.clear();
      }
      rows.push_back(row);
    }
  }
  one.settings.seeds = 3;
  one.settings.contenders = {{"one", "", "as it is", {}}, {"one", "", "narrow", {"model.d_ff=8", "model.d_mem=4"}}};
  return Conclude(one.settings, rows);
}

int Count(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  return static_cast<int>(std::distance(std::sregex_iterator(text.begin(), text.end(), expression), {}));
}

TEST(ComparisonReport, MarkdownIsOneTable) {
  const std::string markdown = ComparisonMarkdown(Example());
  for (const char* part :
       {"| one | 1 | 6,566,400 | 55.7 % | 3.32 M | 300 s | 5,534 | 412 MB | 0.8061 |  | 0.0030 | 1,860 |  |",
        "| two | failed: too \\<wide> \\| by far |", "5:00 of training on data/x, seed 1",
        "Nothing is known about other seeds", "**one**: *Once* \\<b>there & \\|was\\*"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  // Every line of the table has as many cells.
  const std::string table = std::regex_replace(markdown.substr(0, markdown.find("\n\n")), std::regex(R"(\\\|)"), "");
  EXPECT_EQ(std::count(table.begin(), table.end(), '|'), 4 * 14);
}

TEST(ComparisonReport, HtmlStandsAlone) {
  const Comparison comparison = Example();
  const std::string html = ComparisonHtml(comparison), body = BodyOf(html);
  ExpectWellFormed(html);
  for (const char* absent : {"http", "src=", "<wide>", "<b>there", "nan", "null"}) {
    EXPECT_EQ(body.find(absent), std::string::npos) << absent;
  }
  for (const char* present : {"prefers-color-scheme: dark", "width=device-width", "&lt;b&gt;there &amp; |was*",
                              "failed: too &lt;wide&gt; | by far", "<td>0.8061</td>"}) {
    EXPECT_NE(html.find(present), std::string::npos) << present;
  }
  EXPECT_EQ(Count(body, "<canvas data-chart="), 2) << "over tokens and over minutes";
  EXPECT_EQ(Count(body, "<span class=\"swatch c[01]\">"), 2);
  const Json data = DataOf(html);
  EXPECT_EQ(data.at("owners").dump(), R"(["one","two"])");
  ASSERT_EQ(data.at("series").size(), 1u) << "what failed has no curve";
  const Json& curve = data.at("series")[0];
  ASSERT_EQ(curve.at("values").size(), 40u);
  for (size_t i = 0; i < 40; ++i) {
    const CurvePoint& point = comparison.rows[0].curve[i];
    EXPECT_EQ(curve.at("tokens")[i], point.tokens);
    EXPECT_EQ(curve.at("seconds")[i], point.seconds);
    if (i == 5) continue;
    EXPECT_NEAR(curve.at("values")[i].get<double>(), point.bits_per_byte, 1e-5);
  }
  EXPECT_TRUE(curve.at("values")[5].is_null());
  EXPECT_NEAR(data.at("charts")[0].at("highest").get<double>(), 3 * (0.8 + 3.0 / 40), 1e-4);
}

TEST(ComparisonReport, NothingButFailuresIsStillAPage) {
  Comparison comparison = Example();
  comparison = Conclude(comparison.settings, {comparison.rows[1]});
  EXPECT_NE(ComparisonHtml(comparison).find("failed"), std::string::npos);
  EXPECT_NE(ComparisonMarkdown(comparison).find("failed"), std::string::npos);
  comparison = Conclude(comparison.settings, {});
  EXPECT_EQ(Count(ComparisonHtml(comparison), "<canvas"), 0);
}

// A row is one model's; the table says which where it is not the last.
TEST(ComparisonReport, SaysWhichModelTheFiguresAreOf) {
  Comparison comparison = Example();
  EXPECT_NE(ComparisonMarkdown(comparison).find("best model on the dev part."), std::string::npos);
  comparison.rows[0].result.measured_step = 350;
  EXPECT_NE(ComparisonMarkdown(comparison).find("one (step 350 of 400)"), std::string::npos);
}

TEST(ComparisonReport, WithSeedsItSaysHowSureItIs) {
  const std::string markdown = ComparisonMarkdown(WithSeeds()), html = ComparisonHtml(WithSeeds());
  for (const char* part :
       {// Mean 0.84667 of 0.81, 0.84, 0.89 and their standard error, and apart from it that over documents.
        "| one+as\\_it\\_is | 3 | 6,566,400 | 55.7 % | 3.32 M | 300 s | 5,534 | 412 MB | 0.8467 | 0.0233 | 0.0030 | "
        "1,860 "
        "| better than one+narrow by 0.0525 ± 0.0005 (2 seeds) |",
        "| one+narrow | 2 of 3 |", "| worse than one+as\\_it\\_is by 0.0525 ± 0.0005 (2 seeds) |", "seeds 1 to 3",
        "- narrow: model.d\\_ff=8 model.d\\_mem=4\n", "- as it is: nothing changed\n",
        "- runs were scored on the first 800 to 1000 documents", "- one+narrow, seed 1 failed: a full disk\n"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  EXPECT_EQ(Count(markdown, "\n\\*\\*"), 2) << "a sample of each";
  int lines[2] = {0, 0};
  const Json data = DataOf(html);
  for (const Json& series : data.at("series")) ++lines[series.at("owner").get<size_t>()];
  EXPECT_EQ(lines[0], 3) << "a line for each seed, in the colour of its contender";
  EXPECT_EQ(lines[1], 2) << "one failed";
  EXPECT_EQ(data.at("series")[2].at("label"), "seed 3");
}

TEST(Comparison, IsReadBackAsItWasWritten) {
  const Comparison comparison = WithSeeds();
  const Json json = ParseJson(ToJson(comparison).dump(), "test");
  for (size_t i = 0; i < comparison.rows.size(); ++i) {
    const ComparisonRow row = ComparisonRowFromJson(json.at("rows")[i], "test");
    EXPECT_EQ(ToJson(row).dump(), ToJson(comparison.rows[i]).dump());
  }
  EXPECT_EQ(ToJson(CompareSettingsFromJson(json.at("settings"), "test")), ToJson(comparison.settings));
}

}  // namespace
}  // namespace flashlm
