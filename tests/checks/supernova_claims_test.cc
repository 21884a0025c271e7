// The tests that v6 was announced with, as assertions (checks/supernova_claims.h).
#include "checks/supernova_claims.h"

#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "models/registry.h"

namespace flashlm {
namespace {

// Plain C++ kernels are not held to a speed, even where it is asked for.
TEST(SupernovaClaims, Supernova) {
  const bool scalar = kernels::ActiveIsa() == kernels::Isa::kScalar;
  for (const CheckResult& check : CheckSupernovaClaims("v6-supernova", /*assert_speed=*/scalar)) {
    EXPECT_TRUE(check.passed) << check.name << ": " << check.detail;
    EXPECT_EQ(check.detail.find("(asserted"), std::string::npos) << check.name << ": " << check.detail;
  }
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
