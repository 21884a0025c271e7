#include "train/extension.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/presets.h"

namespace flashlm {
namespace {

// 100 steps, of which the last half decays where the schedule is linear; 10 tokens and 2 seconds a step.
RunConfig Config(const std::string& schedule) {
  RunConfig config;
  config.optim.schedule = schedule;
  config.optim.warmup_fraction = 0.1;
  config.budget = Budget::Steps("100");
  return config;
}

Position At(int64_t step) { return {2.0 * static_cast<double>(step), 10 * step, step}; }

double RateAt(const RunConfig& config, int64_t step) {
  const Position at = At(step);
  return ScheduleFactor(config.optim, config.ScheduleFraction(at.seconds, at.tokens, at.step));
}

RunConfig Extended(RunConfig config, const Budget& total, int64_t now, std::optional<int64_t> before_decay) {
  config.extensions.push_back(
      Extend(config, total, At(now), before_decay ? std::optional(At(*before_decay)) : std::nullopt));
  return config;
}

TEST(Extend, AFinishedLinearRunGoesBackToBeforeTheDecay) {
  const RunConfig config = Extended(Config("linear"), Budget::Steps("400"), 100, 50);
  EXPECT_EQ(config.Schedule().from_step, 50);
  EXPECT_EQ(config.CurrentBudget().amount, 400);
  // No second warm-up, though step 50 lies in the first tenth... of 1,000 steps; constant, then down at the new end.
  EXPECT_EQ(RateAt(config, 50), 1.0);
  EXPECT_EQ(RateAt(config, 200), 1.0);
  EXPECT_LT(RateAt(config, 300), 0.7);
  EXPECT_DOUBLE_EQ(RateAt(config, 400), config.optim.final_lr_fraction);
  const RunConfig far = Extended(Config("linear"), Budget::Steps("1000"), 100, 50);
  EXPECT_EQ(RateAt(far, 51), 1.0);
}

TEST(Extend, WithoutThatCheckpointAndForCosineThereIsANewSchedule) {
  for (const RunConfig& config : {Extended(Config("linear"), Budget::Steps("200"), 100, std::nullopt),
                                  Extended(Config("cosine"), Budget::Steps("200"), 100, std::nullopt)}) {
    EXPECT_EQ(config.Schedule().from_step, 100);
    EXPECT_LT(RateAt(config, 101), 0.2);
    EXPECT_DOUBLE_EQ(RateAt(config, 110), 1.0);
    EXPECT_DOUBLE_EQ(RateAt(config, 200), config.optim.final_lr_fraction);
  }
}

TEST(Extend, ARateThatNeedNotRiseGoesOnFromWhereItIs) {
  // Constant part, longer and shorter.
  EXPECT_EQ(RateAt(Extended(Config("linear"), Budget::Steps("300"), 40, 40), 41), 1.0);
  const RunConfig shorter = Extended(Config("linear"), Budget::Steps("60"), 45, 45);
  EXPECT_EQ(shorter.Schedule().from_step, 45);
  EXPECT_LT(RateAt(shorter, 46), 0.6);
  // In the warm-up it follows the new one.
  const RunConfig early = Extended(Config("cosine"), Budget::Steps("1000"), 5, std::nullopt);
  EXPECT_EQ(early.Schedule().from_step, 5);
  EXPECT_NEAR(RateAt(early, 50), 0.5, 1e-9);
  EXPECT_EQ(RateAt(Extended(Config("constant"), Budget::Steps("1000"), 100, std::nullopt), 101), 1.0);
}

TEST(Extend, AnExtensionCanBeExtended) {
  const RunConfig once = Extended(Config("cosine"), Budget::Steps("200"), 100, std::nullopt);
  const RunConfig twice = Extended(once, Budget::Tokens("3k"), 200, std::nullopt);
  EXPECT_EQ(twice.extensions.size(), 2u);
  EXPECT_EQ(twice.Schedule().schedule_begin, 2000) << "in tokens";
  EXPECT_LT(RateAt(twice, 201), 0.2);
  EXPECT_DOUBLE_EQ(RateAt(twice, 210), 1.0);
}

TEST(Extend, LessThanIsDoneIsRefused) {
  for (const Budget& total : {Budget::Steps("30"), Budget::Tokens("300"), Budget::Time("60s")}) {
    EXPECT_THROW(Extend(Config("linear"), total, At(30), std::nullopt), UsageError) << total.ToString();
  }
  EXPECT_NO_THROW(Extend(Config("linear"), Budget::Steps("31"), At(30), std::nullopt));
}

TEST(TotalBudget, APlusAdds) {
  EXPECT_EQ(TotalBudget(Budget::Steps("50"), {Budget::Steps("50"), true}).amount, 100);
  EXPECT_EQ(TotalBudget(Budget::Steps("50"), {Budget::Steps("60"), false}).amount, 60);
  EXPECT_EQ(TotalBudget(Budget::Steps("50"), {Budget::Time("1h"), false}).kind, "time");
  EXPECT_THROW(TotalBudget(Budget::Steps("50"), {Budget::Time("1h"), true}), UsageError);
}

}  // namespace
}  // namespace flashlm
