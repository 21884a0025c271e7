// Optimiser updates over flat parameter arrays.
#pragma once

#include <cstdint>

namespace flashlm::kernels {

struct AdamWStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0;
  bool cautious = false;      // decay only values that the step itself brings nearer to zero
  int64_t step = 1;           // 1-based, for the bias corrections
  double gradient_scale = 1;  // clipping factor applied to the gradient on the fly
};

// AdamW with decoupled decay: theta <- theta (1 - lr wd) - lr m^ / (sqrt(v^) + eps). One sweep
// that also zeroes the gradient.
void AdamW(const AdamWStep& step, int64_t n, float* theta, float* gradient, float* m, float* v);

struct AdamRowsStep {
  double lr = 0;
  double beta1 = 0;  // 0: no first moment
  double beta2 = 1;  // 1: squares are summed, not averaged (Adagrad, Duchi et al. 2011)
  double eps = 1e-8;
  int64_t step = 1;           // 1-based
  double gradient_scale = 1;  // clipping factor applied to the gradient on the fly
};
// What is remembered of a table [R,C].
struct AdamRowsState {
  float* m = nullptr;   // [R,C], if beta1 > 0
  float* v = nullptr;   // [R], of the mean square of a row's gradient
  float* at = nullptr;  // [R], the step of a row's last update, 0: none; unless beta1 = 0 and beta2 = 1
};

// Adam for the rows of a table that were read in this step: `rows` [count], each once, with gradients [count, cols].
// Nothing else of `values` [R, cols] or of the state is read or written. One second moment serves a row. Moments are
// those that updates with a gradient of zero would have made of them in the steps between; the values do not move
// there. v <- beta2^d v + (1 - beta2) mean(g^2), d steps after the last; m alike; theta <- theta - lr m^ / (sqrt(v^) +
// eps).
void AdamRows(const AdamRowsStep& step, const int32_t* rows, int64_t count, int64_t cols, const float* gradients,
              float* values, const AdamRowsState& state);

}  // namespace flashlm::kernels
