// What becomes of a grid: its best cells, the law's predictions, and the files that say so.
#include "compare/scaling_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr double kUniqueTokens = 3e6;

// Three sizes of which a larger one is slower, three budgets; of the tokens per step 2048 are the better for the
// smallest budget, 4096 for the others.
Scaling ExampleScaling() {
  const ScalingLaw law{.floor = 0.4, .size = 20, .size_power = 0.35, .data = 300, .data_power = 0.45, .repeats = 15};
  Scaling scaling;
  scaling.grid.data.folder = "data/x";
  scaling.grid.presets = {"small", "/dir/middle one.toml", "large"};
  scaling.grid.tokens = {500'000, 2'000'000, 6'000'000};
  scaling.grid.steps_of = {2048, 4096};
  scaling.grid.seeds = 2;
  scaling.unique = kUniqueTokens;
  scaling.machine = "a CPU, 2 threads, bf16";
  const double weights[] = {5e5, 2e6, 8e6};
  for (size_t size = 0; size < 3; ++size) {
    for (const int64_t tokens : scaling.grid.tokens) {
      for (const int64_t steps_of : scaling.grid.steps_of) {
        ScalingCell cell{size, tokens, steps_of, weights[size], {}, false};
        cell.result.seeds = {1, 2};
        cell.result.tokens = static_cast<double>(tokens);
        // Short runs are slower: what begins a run is paid by fewer tokens.
        cell.result.tok_per_sec = 2e10 / (weights[size] + 1e6) * (tokens == 6'000'000 ? 1 : 0.5);
        const double worse = (steps_of == 2048) == (tokens == 500'000) ? 0 : 0.05;
        cell.result.bits_per_byte = {2, law.BitsPerByte(weights[size], cell.result.tokens, kUniqueTokens) + worse,
                                     0.002};
        scaling.cells.push_back(cell);
      }
    }
  }
  return scaling;
}

TEST(ScalingGrid, TheBestOfEachSizeAndBudgetAreFitted) {
  Scaling scaling = ExampleScaling();
  FitBest(scaling);
  int best = 0;
  for (const ScalingCell& cell : scaling.cells) {
    EXPECT_EQ(cell.best, (cell.steps_of == 2048) == (cell.tokens == 500'000));
    best += cell.best;
  }
  EXPECT_EQ(best, 9);
  EXPECT_EQ(scaling.fit.residuals.size(), 9u);
  EXPECT_LT(scaling.fit.rms, 1e-3);
  EXPECT_EQ(scaling.fit.held, std::vector<std::string>{"repeats"});
  EXPECT_NEAR(scaling.law().overhead, 1e6, 1) << "as their speeds have it";
}

TEST(ScalingGrid, WhatFailedOrDivergedIsLeftOut) {
  Scaling scaling = ExampleScaling();
  for (ScalingCell& cell : scaling.cells) {
    if (cell.size == 0 && cell.tokens == 500'000) {
      cell.result = {};
      cell.result.failed = 2;
      cell.result.error = "out of | memory";
    }
    if (cell.size == 1 && cell.steps_of == 4096) cell.result.bits_per_byte.mean = std::nan("");
  }
  FitBest(scaling);
  EXPECT_EQ(scaling.fit.residuals.size(), 8u);
  for (const ScalingCell& cell : scaling.cells) {
    if (cell.size == 1) {
      EXPECT_EQ(cell.best, cell.steps_of == 2048);
    }
  }
  const Json json = ToJson(scaling);
  EXPECT_EQ(json.at("points").size(), 8u);
  EXPECT_EQ(json.at("cells")[0].at("error"), "out of | memory");
  EXPECT_NE(ScalingMarkdown(scaling).find("failed: out of \\| memory"), std::string::npos);
  for (ScalingCell& cell : scaling.cells) {
    if (cell.size != 2) cell.result.bits_per_byte.mean = std::nan("");
  }
  EXPECT_THROW(FitBest(scaling), Error) << "one size is left";
}

TEST(ScalingGrid, TimePicksTheSize) {
  Scaling scaling = ExampleScaling();
  FitBest(scaling);
  const std::vector<ScalingPrediction> minute = PredictAfter(scaling, 60), hours = PredictAfter(scaling, 7200);
  ASSERT_EQ(minute.size(), 3u);
  EXPECT_NEAR(minute[1].tokens, 60 * 2e10 / 3e6, 1);
  EXPECT_DOUBLE_EQ(minute[1].bits_per_byte, scaling.law().BitsPerByte(2e6, minute[1].tokens, kUniqueTokens));
  EXPECT_EQ(BestOf(minute).size, 0u) << "the small one reads most in a minute";
  EXPECT_EQ(BestOf(hours).size, 1u) << "a larger one holds more";
}

// The same law has them, so nothing of it changes but that a text read six times tells what repeats are worth.
TEST(ScalingGrid, OtherRunsArePointsOfTheLaw) {
  Scaling scaling = ExampleScaling();
  const ScalingLaw law{.floor = 0.4, .size = 20, .size_power = 0.35, .data = 300, .data_power = 0.45, .repeats = 3};
  const auto add = [&](const std::string& folder, const std::string& model, double weights, double tokens) {
    scaling.grid.runs.push_back({.folder = folder,
                                 .model = model,
                                 .weights = weights,
                                 .tokens = tokens,
                                 .bits_per_byte = law.BitsPerByte(weights, tokens, kUniqueTokens),
                                 .tok_per_sec = 1234,
                                 .steps_of = 2048,
                                 .documents = 1000});
  };
  add("/runs/a|b", "large", 8e6, 9e6);
  add("/runs/longer", "large", 8e6, 18e6);
  add("/runs/huge", "huge", 4e7, 9e6);
  // Below an epoch no repeats count; the one budget of the grid that is above has the same law as the runs.
  for (ScalingCell& cell : scaling.cells) {
    if (cell.tokens == 6'000'000 && cell.steps_of == 4096) {
      cell.result.bits_per_byte.mean = law.BitsPerByte(cell.weights, cell.result.tokens, kUniqueTokens);
    }
  }
  FitBest(scaling);
  EXPECT_TRUE(scaling.fit.held.empty());
  ASSERT_EQ(scaling.fit.residuals.size(), 12u);
  EXPECT_NEAR(scaling.law().repeats, 3, 0.2);
  EXPECT_NEAR(scaling.law().floor, 0.4, 0.02);

  const Json points = ToJson(scaling).at("points");
  ASSERT_EQ(points.size(), 12u);
  EXPECT_EQ(points[9].at("run"), "/runs/a|b");
  EXPECT_EQ(points[11].at("residual"), scaling.fit.residuals[11]);
  EXPECT_FALSE(points[8].contains("run"));
  const std::string markdown = ScalingMarkdown(scaling), svg = ScalingSvg(scaling);
  EXPECT_NE(markdown.find("over 12 points"), std::string::npos) << markdown;
  EXPECT_NE(markdown.find("| /runs/a\\|b | large | 8,000,000 | 9.00 M | 2048 |"), std::string::npos) << markdown;
  const auto circles = [&] {
    size_t count = 0;
    for (size_t at = svg.find("<circle "); at != std::string::npos; at = svg.find("<circle ", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(circles(), 11u) << "a run of no size of the grid has no curve to lie on";
}

TEST(ScalingGrid, IsReadBackAsItWasWritten) {
  ScalingGrid grid = ExampleScaling().grid;
  grid.runs = {{.folder = "/runs/a",
                .model = "large",
                .weights = 8e6,
                .tokens = 9e6,
                .bits_per_byte = 0.7,
                .tok_per_sec = 1234,
                .steps_of = 2048,
                .documents = 1000}};
  grid.text = "text.txt";
  grid.sets = {"optim.lr=0.1"};
  grid.data.fingerprint = "abc";
  EXPECT_EQ(ToJson(ScalingGridFromJson(ToJson(grid), "test")), ToJson(grid));
  EXPECT_THROW(ScalingGridFromJson(Json::array(), "test"), Error);
  EXPECT_THROW(ScalingGridFromJson(Json{{"format", "other"}, {"version", 1}}, "test"), Error);
}

TEST(ScalingReport, MarkdownHasLawBestSizesAndGrid) {
  Scaling scaling = ExampleScaling();
  scaling.fewest_documents = 300;
  scaling.most_documents = 900;
  FitBest(scaling);
  const std::string markdown = ScalingMarkdown(scaling);
  for (const char* part : {"bits per byte = 0.4", "over 9 points", "held: repeats = 15", "| 1:00 | small |",
                           "| 2:00:00 | middle one |", "| middle one | 2,000,000 | 2.00 M | 4096 | **", " | 0.0020 | ",
                           "2 seeds each", "first 300 to 900 documents"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
}

TEST(ScalingReport, SvgStandsAlone) {
  Scaling scaling = ExampleScaling();
  scaling.grid.presets[1] = "<&>.toml";
  FitBest(scaling);
  const std::string svg = ScalingSvg(scaling);
  const auto count = [&](const std::string& pattern) {
    const std::regex expression(pattern);
    return std::distance(std::sregex_iterator(svg.begin(), svg.end(), expression), {});
  };
  EXPECT_EQ(count("<circle "), 9);
  EXPECT_EQ(count("<path class=\"line c[0-9]\" d=\"M[0-9. ]+L"), 3) << "a curve for each size";
  EXPECT_EQ(count("<svg "), 1);
  EXPECT_EQ(count("</svg>"), 1);
  EXPECT_EQ(count("<text "), count("</text>"));
  for (const char* absent : {"<script", "src=", "<&>", "nan"}) EXPECT_EQ(svg.find(absent), std::string::npos) << absent;
  EXPECT_NE(svg.find(">1 M</text>"), std::string::npos) << "a tick of the logarithmic axis";
}

TEST(ScalingReport, TheFamilyIsReadByTrain) {
  Scaling scaling = ExampleScaling();
  scaling.grid.sets = {"train.word_dropout=0.1"};
  FitBest(scaling);
  const std::string toml = FamilyToml(scaling);
  EXPECT_NE(toml.find("# They were trained with: --set \"train.word_dropout=0.1\"\n"), std::string::npos) << toml;
  const Json family = ParseToml(toml, "test");
  EXPECT_EQ(family.at("sizes"), Json(scaling.grid.presets));
  ScalingLaw law;
  FieldsFromJson(family.at("law"), "law", law);
  EXPECT_DOUBLE_EQ(law.BitsPerByte(1e6, 1e7, kUniqueTokens), scaling.law().BitsPerByte(1e6, 1e7, kUniqueTokens));
}

}  // namespace
}  // namespace flashlm
