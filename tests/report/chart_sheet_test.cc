// Curves on their way into a page: what thinning keeps, and how they are written down.
#include "report/chart_sheet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace flashlm {
namespace {

// Noise without a random generator: a permutation of 0 .. size - 1.
Series Noise(int64_t size) {
  Series series{0, "x", {}, {}};
  for (int64_t i = 0; i < size; ++i) {
    series.at.push_back({i + 1, 10 * (i + 1), 0.5 * static_cast<double>(i)});
    series.values.push_back(static_cast<double>(i * 7919 % size));
  }
  return series;
}

TEST(Thinned, ShortCurvesStayAsTheyAre) {
  const Series series = Noise(100);
  EXPECT_EQ(Thinned(series, 100).values, series.values);
  EXPECT_EQ(Thinned({}, 100).values.size(), 0u);
  EXPECT_THROW(Thinned(series, 2), Error);
}

TEST(Thinned, KeepsEndsExtremesAndGaps) {
  Series series = Noise(100'000);
  series.values[54'321] = 1e6;
  series.values[12'345] = -1e6;
  series.values[77'777] = std::nan("");
  const Series thinned = Thinned(series, 1000);
  EXPECT_LE(thinned.values.size(), 1000u + 1);
  EXPECT_GE(thinned.values.size(), 900u);
  ASSERT_EQ(thinned.at.size(), thinned.values.size());
  EXPECT_EQ(thinned.label, "x");
  EXPECT_EQ(thinned.at.front().step, 1);
  EXPECT_EQ(thinned.at.back().step, 100'000);
  std::set<int64_t> steps;
  for (size_t i = 0; i < thinned.at.size(); ++i) {
    const Moment& at = thinned.at[i];
    EXPECT_TRUE(steps.empty() || *steps.rbegin() < at.step) << "in order, none twice";
    steps.insert(at.step);
    const auto index = static_cast<size_t>(at.step - 1);
    EXPECT_EQ(at.tokens, series.at[index].tokens);
    if (std::isfinite(series.values[index])) {
      EXPECT_EQ(thinned.values[i], series.values[index]);
    } else {
      EXPECT_TRUE(std::isnan(thinned.values[i]));
    }
  }
  for (const int64_t kept : {54'322, 12'346, 77'778}) EXPECT_TRUE(steps.contains(kept)) << kept;
  // Of every stretch: the highest of the first tenth too.
  const auto highest = std::max_element(series.values.begin(), series.values.begin() + 10'000);
  EXPECT_TRUE(steps.contains(highest - series.values.begin() + 1));
}

TEST(Means, AreOfEqualStretches) {
  Series series = Noise(10);
  series.values = {1, 3, 5, 7, 9, 11, std::nan(""), 2, 4, 6};
  const Series means = Means(series, 5);
  ASSERT_EQ(means.values.size(), 5u);
  EXPECT_EQ(means.values[0], 2);
  EXPECT_EQ(means.values[2], 10);
  EXPECT_TRUE(std::isnan(means.values[3]));
  EXPECT_EQ(means.at[4].tokens, 95);
  EXPECT_EQ(means.at[1].seconds, 1.25);
  EXPECT_EQ(Means(series, 50).values.size(), 10u);
}

TEST(ChartSheet, WritesSixDigitsAndNoNaN) {
  ChartSheet sheet;
  const size_t owner = sheet.AddOwner("a <b>");
  Series series{owner, "loss", {{1, 2048, 0.12345678}, {2, 10'895'360, 2}, {3, 6144, 3}, {4, 8192, 4}}, {}};
  series.values = {3.5919123186613433, 12345678.9, std::nan(""), -1.23456789e-9};
  const size_t first = sheet.AddSeries(series);
  const std::string html = sheet.AddChart({.title = "Loss & \"more\"", .lines = {{first}}});
  EXPECT_NE(html.find("<canvas data-chart=\"0\""), std::string::npos);
  EXPECT_NE(html.find("Loss &amp; &quot;more&quot;"), std::string::npos);
  const Json& data = sheet.Data();
  EXPECT_EQ(data.at("series")[0].at("values").dump(), "[3.59191,12345679.0,null,-1.23457e-09]");
  EXPECT_EQ(data.at("series")[0].at("tokens").dump(), "[2048,10895360,6144,8192]");
  EXPECT_EQ(data.at("series")[0].at("seconds")[0], 0.123);
  EXPECT_EQ(data.at("charts")[0].at("lines").dump(), R"([{"series":0,"style":"line"}])");
  EXPECT_TRUE(data.at("charts")[0].at("highest").is_null());
  // A chart of nothing is none.
  series.values.assign(4, std::nan(""));
  EXPECT_EQ(sheet.AddChart({.title = "nothing", .lines = {{sheet.AddSeries(series)}}}), "");
  EXPECT_EQ(sheet.AddBars({.title = "nothing", .groups = {"a"}, .bars = {{{}}}}), "");
  EXPECT_EQ(data.at("charts").size(), 1u);
  EXPECT_NE(sheet.AddBars({.title = "bars", .groups = {"a"}, .bars = {{{50, 45, 55, 25}}}}), "");
  EXPECT_EQ(data.at("charts")[1].at("bars").dump(), R"([{"owner":0,"values":[[50.0,45.0,55.0,25.0]]}])");
}

}  // namespace
}  // namespace flashlm
