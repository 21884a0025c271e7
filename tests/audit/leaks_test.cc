// The operations that read the future, against their definitions, and that they do.
#include "audit/leaks.h"

#include <gtest/gtest.h>

#include "autograd/op_check.h"

namespace flashlm {
namespace {

TEST(Leaks, EqualTheirReferences) {
  ASSERT_EQ(LeakingOps().size(), 3u);
  for (const OpDef* op : LeakingOps()) {
    for (const OpCase& op_case : op->cases()) {
      const OpCheck check = CheckOp(*op, op_case);
      EXPECT_LE(check.forward_error, OpCheck::kForwardTolerance) << check.name;
      EXPECT_LE(check.gradient_error, OpCheck::kGradientTolerance) << check.name;
    }
  }
}

// Nobody else has them: they are no operations of the engine.
TEST(Leaks, AreNoneOfTheEngine) {
  for (const OpDef* op : LeakingOps()) {
    for (const OpDef* known : AllOps()) EXPECT_STRNE(op->name, known->name);
  }
}

}  // namespace
}  // namespace flashlm
