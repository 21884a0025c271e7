// Every operation against its own definition: forward values, and gradients by complex-step differentiation.
#include "autograd/ops.h"

#include <gtest/gtest.h>

#include "autograd/op_check.h"

namespace flashlm {
namespace {

class OpTest : public testing::TestWithParam<const OpDef*> {};

TEST_P(OpTest, EqualsItsReference) {
  const std::vector<OpCase> cases = GetParam()->cases();
  ASSERT_FALSE(cases.empty());
  for (const OpCase& op_case : cases) {
    const OpCheck check = CheckOp(*GetParam(), op_case);
    EXPECT_LE(check.forward_error, OpCheck::kForwardTolerance) << check.name;
    EXPECT_LE(check.gradient_error, OpCheck::kGradientTolerance) << check.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpTest, testing::ValuesIn(AllOps()), [](const auto& info) {
  std::string name = info.param->name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace flashlm
