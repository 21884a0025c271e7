// Runs an operation's cases against its reference: the forward pass in double, the gradients by complex-step
// differentiation. Used by the tests and by `flashlm doctor`, on whatever instruction set is active.
#pragma once

#include <string>

#include "autograd/op_case.h"

namespace flashlm {

struct OpCheck {
  std::string name;  // "rms_norm, 4x16"
  // Largest |ours - reference| / (1 + |reference|).
  double forward_error = 0, gradient_error = 0;

  static constexpr double kForwardTolerance = 2e-5, kGradientTolerance = 5e-5;
  bool passed() const { return forward_error <= kForwardTolerance && gradient_error <= kGradientTolerance; }
};

// In f32, on tapes of its own. Every case runs with inputs that are tensors and with inputs that are columns of wider
// ones, with gradients that are empty and that hold what other readers left, and, where inputs are of one shape, with
// one tensor for all of them. Errors are the largest of all runs; a touched neighbouring column counts as an error.
OpCheck CheckOp(const OpDef& op, const OpCase& op_case);

}  // namespace flashlm
