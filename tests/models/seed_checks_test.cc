// The tests that the seeds were announced with, as assertions (train/seed_checks.h).
#include "train/seed_checks.h"

#include <gtest/gtest.h>

namespace flashlm {
namespace {

TEST(SeedChecks, Supernova) {
  for (const CheckResult& check : CheckSeed("v6-supernova")) EXPECT_TRUE(check.passed) << check.name << ": " << check.detail;
}

TEST(SeedChecks, OtherArchitecturesHaveNone) { EXPECT_TRUE(CheckSeed("cortex-viii").empty()); }

}  // namespace
}  // namespace flashlm
