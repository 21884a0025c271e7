// Gated associative memory, one M x M matrix S per head (docs/spec/cortex.md#memory). With k^ and q^ L2-normalised
// (norm at least 1e-12), beta = sigmoid(beta logit), alpha = sigmoid(alpha logit + alpha_bias):
//   delta:   e_t = v_t - alpha_t S_{t-1}^T k^_t;  S_t = alpha_t S_{t-1} + beta_t k^_t e_t^T
//   linear:  S_t = (1 - beta_t) S_{t-1} + k^_t v_t^T
//   o_t = S_t^T q^_t / sqrt(M) + beta_t v_t
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

struct DeltaShape {
  int batch = 0, length = 0;   // B, T
  int heads = 0, mem_dim = 0;  // H, M
  bool delta_rule = true;      // false: linear
};
// Floats per row of the batch: H*M*M.
int64_t DeltaStateSize(const DeltaShape& shape);
// Floats that the gradient wants kept: the states at chunk borders.
int64_t DeltaSavedSize(const DeltaShape& shape);

// proj: [B*T, 3*H*M + H (+ H if delta_rule)], columns k|v|q|beta|alpha, heads contiguous, f32 or bf16.
// alpha_bias: [H], null for linear. out: [B*T, H*M], same type.
// state: null in training (S starts at 0); else [H,M,M] of row b at state + b * state_stride, replaced.
// saved: DeltaSavedSize floats, or null when no gradient will be asked for.
// Chunk-parallel, for a few tokens the recurrence itself; the cost per token does not depend on T. Outputs
// before a changed token keep every bit, whatever the number of threads and the neighbours in the batch.
void DeltaMemory(const DeltaShape& shape, const Matrix& proj, const float* alpha_bias, float* state,
                 int64_t state_stride, const Matrix& out, float* saved);

// dproj is overwritten; dalpha_bias [H] += (null for linear). saved is what the forward pass left.
// A k or q shorter than 1e-12 has no direction and gets no gradient.
void DeltaMemoryGrad(const DeltaShape& shape, const Matrix& proj, const float* alpha_bias, const float* saved,
                     const Matrix& dout, const Matrix& dproj, float* dalpha_bias);

}  // namespace flashlm::kernels
