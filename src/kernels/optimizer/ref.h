// The definition of AdamW, one parameter at a time in double.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/optimizer/optimizer.h"

namespace flashlm::kernels::ref {

inline void AdamW(const AdamWStep& step, int64_t n, double* theta, const double* gradient, double* m, double* v) {
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  for (int64_t i = 0; i < n; ++i) {
    const double g = gradient[i] * step.gradient_scale;
    m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
    const double update = step.lr * (m[i] / correction1) / (std::sqrt(v[i] / correction2) + step.eps);
    const bool decays = !step.cautious || update * theta[i] > 0;
    theta[i] = theta[i] * (decays ? 1 - step.lr * step.weight_decay : 1) - update;
  }
}

// One row in which nothing happened since the step before: a row that was not read has a gradient of zero.
inline void AdamRow(const AdamRowsStep& step, int64_t cols, double* theta, const double* gradient, double* m,
                    double* v) {
  double square = 0;
  for (int64_t c = 0; c < cols; ++c) square += gradient[c] * gradient[c] * step.gradient_scale * step.gradient_scale;
  const bool sums = step.beta2 == 1;
  *v = step.beta2 * *v + (sums ? 1 : 1 - step.beta2) * square / static_cast<double>(cols);
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = sums ? 1 : 1 - std::pow(step.beta2, static_cast<double>(step.step));
  for (int64_t c = 0; c < cols; ++c) {
    m[c] = step.beta1 * m[c] + (1 - step.beta1) * gradient[c] * step.gradient_scale;
    if (square > 0) theta[c] -= step.lr * (m[c] / correction1) / (std::sqrt(*v / correction2) + step.eps);
  }
}

}  // namespace flashlm::kernels::ref
