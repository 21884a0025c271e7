// Optimiser updates over flat parameter arrays.
#pragma once

#include <cstdint>

namespace flashlm::kernels {

struct AdamWStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0;
  int64_t step = 1;           // 1-based, for the bias corrections
  double gradient_scale = 1;  // clipping factor applied to the gradient on the fly
};

// AdamW with decoupled decay: theta <- theta (1 - lr wd) - lr m^ / (sqrt(v^) + eps). One sweep
// that also zeroes the gradient.
void AdamW(const AdamWStep& step, int64_t n, float* theta, float* gradient, float* m, float* v);

}  // namespace flashlm::kernels
