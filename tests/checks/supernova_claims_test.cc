// The tests that v6 was announced with, as assertions (checks/supernova_claims.h).
#include "checks/supernova_claims.h"

#include <gtest/gtest.h>

#include "models/registry.h"

namespace flashlm {
namespace {

TEST(SupernovaClaims, Supernova) {
  for (const CheckResult& check : CheckSupernovaClaims("v6-supernova", false))
    EXPECT_TRUE(check.passed) << check.name << ": " << check.detail;
}

// The golden states cannot hold it (tests/golden/supernova_reference.py).
TEST(SupernovaClaims, SupernovaWithInt8Activations) {
  Json config = FindModel("v6-supernova").tiny();
  config["architecture"] = "v6-supernova";
  config["activation"] = "int8";
  for (const CheckResult& check :
       {CheckCausalSplitAndBatch(config), CheckNextToken(config), CheckEveryParameterLearns(config)}) {
    EXPECT_TRUE(check.passed) << check.name << ": " << check.detail;
  }
}

TEST(SupernovaClaims, OtherArchitecturesHaveNone) { EXPECT_TRUE(CheckSupernovaClaims("cortex-viii", false).empty()); }

}  // namespace
}  // namespace flashlm
