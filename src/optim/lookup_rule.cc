#include "optim/lookup_rule.h"

#include <algorithm>
#include <cmath>

#include "kernels/optimizer/optimizer.h"

namespace flashlm {
namespace {

// Without a branch in the loop, which vectorises so. NaN is not zero.
bool IsZero(const float* x, int n) {
  int different = 0;
  for (int i = 0; i < n; ++i) different |= x[i] != 0 ? 1 : 0;
  return different == 0;
}

}  // namespace

void LookupRule::Update(const RulePiece& piece, const RuleStep& step) const {
  const kernels::AdamRowsState state{.m = nullptr, .v = piece.state[0], .at = piece.state[1]};
  const kernels::AdamRowsStep adam{
      .lr = step.lr, .beta2 = beta2_, .step = step.update, .gradient_scale = step.gradient_scale};
  for (int32_t row = 0; row < piece.rows; ++row) {
    float* gradient = piece.gradients + int64_t{row} * piece.cols;
    if (IsZero(gradient, piece.cols)) continue;
    if (step.weight_decay > 0) {
      const double passed = static_cast<double>(step.update) - static_cast<double>(state.at[row]);
      const auto keep = static_cast<float>(std::pow(1 - step.lr * step.weight_decay, passed));
      float* values = piece.values + int64_t{row} * piece.cols;
      std::transform(values, values + piece.cols, values, [keep](float value) { return keep * value; });
    }
    kernels::AdamRows(adam, &row, 1, piece.cols, gradient, piece.values, state);
    std::fill_n(gradient, piece.cols, 0.0f);
  }
}

}  // namespace flashlm
