// The scaling law found again in points that were made with it.
#include "compare/scaling_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"

namespace flashlm {
namespace {

constexpr double kUnique = 3.5e6;
const ScalingLaw kLaw{.floor = 0.45, .size = 20, .size_power = 0.35, .data = 300, .data_power = 0.45, .repeats = 12};

// Every size with every token count, each point off by a share of at most `noise`.
std::vector<ScalingPoint> Grid(const ScalingLaw& law, const std::vector<double>& sizes,
                               const std::vector<double>& token_counts, double noise = 0) {
  std::vector<ScalingPoint> points;
  Rng rng(7, Purpose::kTest);
  for (const double weights : sizes) {
    for (const double tokens : token_counts) {
      const double bits = law.BitsPerByte(weights, tokens, kUnique);
      points.push_back({weights, tokens, kUnique, bits * (1 + noise * (2 * rng.UniformDouble() - 1))});
    }
  }
  return points;
}
const std::vector<double> kSizes = {4e5, 1.1e6, 3.4e6, 1e7}, kTokens = {5e5, 2e6, 6e6, 2e7};

void ExpectLaw(const ScalingLaw& found, const ScalingLaw& law, double share) {
  EXPECT_NEAR(found.floor, law.floor, share * law.floor);
  EXPECT_NEAR(found.size_power, law.size_power, share * law.size_power);
  EXPECT_NEAR(found.data_power, law.data_power, share * law.data_power);
  EXPECT_NEAR(found.repeats, law.repeats, share * law.repeats);
  const double size = law.size / std::pow(1e6, law.size_power), data = law.data / std::pow(1e6, law.data_power);
  EXPECT_NEAR(found.size / std::pow(1e6, found.size_power), size, share * size);
  EXPECT_NEAR(found.data / std::pow(1e6, found.data_power), data, share * data);
}

TEST(FitScalingLaw, FindsTheLawOfPointsThatHaveOne) {
  const ScalingFit fit = FitScalingLaw(Grid(kLaw, kSizes, kTokens));
  ExpectLaw(fit.law, kLaw, 1e-3);
  EXPECT_TRUE(fit.held.empty());
  EXPECT_LT(fit.rms, 1e-6);
  const ScalingLaw other{.floor = 0, .size = 2e6, .size_power = 1.2, .data = 40, .data_power = 0.25, .repeats = 100};
  const ScalingFit steep = FitScalingLaw(Grid(other, kSizes, kTokens));
  EXPECT_NEAR(steep.law.floor, 0, 1e-3);
  EXPECT_NEAR(steep.law.size_power, 1.2, 1e-2);
  EXPECT_NEAR(steep.law.data_power, 0.25, 1e-3);
}

// As much noise as three seeds leave.
TEST(FitScalingLaw, ALittleNoiseChangesALittle) {
  const std::vector<ScalingPoint> points = Grid(kLaw, kSizes, kTokens, 0.002);
  const ScalingFit fit = FitScalingLaw(points);
  ExpectLaw(fit.law, kLaw, 0.25);
  EXPECT_LT(fit.rms, 0.002);
  double squares = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const ScalingPoint& p = points[i];
    EXPECT_DOUBLE_EQ(fit.residuals[i], p.bits_per_byte - fit.law.BitsPerByte(p.weights, p.tokens, p.unique));
    squares += fit.residuals[i] * fit.residuals[i];
  }
  EXPECT_NEAR(fit.rms, std::sqrt(squares / 16), 1e-12);
  // What it is for: a size between and a budget beyond.
  EXPECT_NEAR(fit.law.BitsPerByte(2e6, 4e7, kUnique), kLaw.BitsPerByte(2e6, 4e7, kUnique), 0.01);
  // The best of the neighbourhood: no parameter moved a little does better.
  const auto sum = [&](const ScalingLaw& law) {
    double all = 0;
    for (const auto& p : points)
      all += std::pow(law.BitsPerByte(p.weights, p.tokens, p.unique) / p.bits_per_byte - 1, 2);
    return all;
  };
  for (double ScalingLaw::*field : {&ScalingLaw::floor, &ScalingLaw::size, &ScalingLaw::size_power, &ScalingLaw::data,
                                    &ScalingLaw::data_power, &ScalingLaw::repeats}) {
    for (const double factor : {0.999, 1.001}) {
      ScalingLaw moved = fit.law;
      moved.*field *= factor;
      EXPECT_GE(sum(moved), sum(fit.law));
    }
  }
}

TEST(FitScalingLaw, HoldsWhatTooFewPointsCannotTell) {
  const auto held = [](const std::vector<double>& sizes, const std::vector<double>& token_counts) {
    return FitScalingLaw(Grid(kLaw, sizes, token_counts)).held;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(held({1e6, 3e6}, {1e6, 3e6}), (Names{"size_power", "data_power", "repeats"}));
  EXPECT_EQ(held({1e6, 3e6, 3.1e6}, kTokens), (Names{"size_power"})) << "3.1 M is no third size";
  EXPECT_EQ(held(kSizes, {5e5, 2e6, 6e6}), (Names{"repeats"}));
  EXPECT_EQ(held(kSizes, {5e5, 1e6, 3e6, 6e6}), (Names{"repeats"})) << "within two epochs";
  // What is held is ScalingLaw's, and the rest goes through the points.
  const ScalingFit fit =
      FitScalingLaw(Grid({.floor = 0.5, .size = 15, .data = 40, .repeats = 15}, {1e6, 3e6}, kTokens));
  EXPECT_DOUBLE_EQ(fit.law.size_power, ScalingLaw().size_power);
  EXPECT_NEAR(fit.law.floor, 0.5, 1e-3);
  EXPECT_NEAR(fit.law.size, 15, 0.1);
  EXPECT_NEAR(fit.law.data, 40, 0.5);
}

// Points that no law within the bounds has: larger ones are no better, and the floor would be below 0.
TEST(FitScalingLaw, StaysWithinBounds) {
  std::vector<ScalingPoint> points;
  for (const double weights : kSizes) {
    for (const double tokens : kTokens)
      points.push_back({weights, tokens, kUnique, 0.2 + 3e-8 * weights + 4e12 / (tokens * tokens)});
  }
  const ScalingLaw law = FitScalingLaw(points).law;
  EXPECT_GE(law.floor, 0);
  EXPECT_GT(law.size, 0) << "or there would be nothing to choose a size by";
  EXPECT_GT(law.data, 0);
  for (const double power : {law.size_power, law.data_power}) {
    EXPECT_GE(power, 0.05 - 1e-12);
    EXPECT_LE(power, 1.5 + 1e-12);
  }
  EXPECT_GE(law.repeats, 1 - 1e-9);
  EXPECT_LE(law.repeats, 1000 + 1e-9);
}

TEST(FitScalingLaw, IsDeterministic) {
  const std::vector<ScalingPoint> points = Grid(kLaw, kSizes, kTokens, 0.01);
  const ScalingLaw first = FitScalingLaw(points).law, second = FitScalingLaw(points).law;
  EXPECT_EQ(FieldsToJson(first).dump(), FieldsToJson(second).dump());
}

TEST(FitScalingLaw, RefusesWhatSaysNothing) {
  const auto refused = [](const std::vector<ScalingPoint>& points, const std::string& part) {
    try {
      FitScalingLaw(points);
      ADD_FAILURE() << part;
    } catch (const Error& e) {
      EXPECT_NE(e.OneLine().find(part), std::string::npos) << e.OneLine();
      EXPECT_EQ(e.OneLine().find('\n'), std::string::npos);
      EXPECT_EQ(e.exit_code(), 1);
    }
  };
  std::vector<ScalingPoint> three = Grid(kLaw, {1e6, 3e6}, {1e6, 3e6});
  three.pop_back();
  refused(three, "3 points of 2 sizes and 2 token counts are too few");
  refused(Grid(kLaw, {1e6}, kTokens), "4 points of 1 sizes");
  refused(Grid(kLaw, kSizes, {1e6}), "4 sizes and 1 token counts");
  refused({}, "0 points");
  std::vector<ScalingPoint> diverged = Grid(kLaw, kSizes, kTokens);
  diverged[3].bits_per_byte = std::nan("");
  refused(diverged, "cannot be fitted");
}

}  // namespace
}  // namespace flashlm
