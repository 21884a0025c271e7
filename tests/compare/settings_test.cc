#include "compare/settings.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace flashlm {
namespace {

// What is interrupted has something of every contender.
TEST(PlanRuns, SeedBySeed) {
  CompareSettings settings;
  settings.seed = 7;
  settings.seeds = 2;
  settings.contenders = {{"a", "", "", {}}, {"b", "adamw", "x", {}}};
  std::string plan;
  for (const PlannedRun& run : PlanRuns(settings)) plan += run.folder + ":" + std::to_string(run.seed) + " ";
  EXPECT_EQ(plan, "a:7 b+adamw+x:7 a.seed_8:8 b+adamw+x.seed_8:8 ");
}

TEST(PlanRuns, RefusesTwoOfOneFolder) {
  CompareSettings settings;
  settings.contenders = {{"a", "", "", {}}, {"a.seed_2.toml", "", "", {}}};
  EXPECT_EQ(PlanRuns(settings).size(), 2u);
  settings.seeds = 2;
  EXPECT_THROW(PlanRuns(settings), UsageError);
  settings.contenders = {{"comparison.json.toml", "", "", {}}};
  EXPECT_THROW(PlanRuns(settings), UsageError);
}

}  // namespace
}  // namespace flashlm
