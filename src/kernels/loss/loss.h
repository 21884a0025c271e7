// Softmax, cross-entropy and entropy of rows of logits, with their gradient, in one visit while the row is in
// cache.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"

namespace flashlm::kernels {

struct LossShape {
  float softcap = 0;         // z <- c tanh(z / c) before the softmax; 0: none
  float entropy_weight = 0;  // w of the objective ce - w H(p)
  float gradient_scale = 0;  // dlogits are those of gradient_scale * sum over rows of the objective
};

// Tokens that should not come next (docs/spec/training.md#objective): the objective gets + weight * u with u = -log(1 -
// min(p, 0.99) + 1e-8) of the row's token, whose gradient ends where p reaches 0.99.
struct Unlikelihood {
  const int32_t* tokens = nullptr;  // [N] in [0,V), -1: none in this row; null: none at all
  float weight = 0;
  float* nats = nullptr;  // [N] u, 0 where there is no token
};

// A second opinion beside the softmax, of which only the target's probability q is needed: p = (1 - g) softmax + g q, g
// = sigmoid(gate). ce is then -log p of the mixture; entropy and unlikelihood stay those of the softmax.
struct Opinion {
  const float* gates = nullptr;      // [N]; null: none
  const float* log_probs = nullptr;  // [N] log q of the targets
  float* dgates = nullptr;           // [N], the gradient of gradient_scale * sum of ce; null: none wanted
  // Part of the logits' gradient that is the mixture's; the rest is that of the softmax's own cross-entropy. At 1 a
  // softmax that the other opinion is ahead of hardly learns.
  float joint = 1;
};

// logits: f32 [N,V], may be overwritten; targets: [N] in [0,V), or -1 for a row without a target, whose results and
// gradient are 0; ce, entropy: [N] nats, argmax: [N], the first
// of equals (each may be null); dlogits: [N,V] f32 or bf16 (data null: none wanted), may not alias logits.
// Needs max - min of a row of logits below 1e38. 1.5 us per row of 4096 on a Zen 4 core at 3.7 GHz.
void SoftmaxCrossEntropy(const LossShape& shape, const Matrix& logits, const int32_t* targets, float* ce,
                         float* entropy, int32_t* argmax, const Matrix& dlogits, const Unlikelihood& unlikely = {},
                         const Opinion& opinion = {});

// In place: z <- log softmax(softcap(z)); for evaluation and sampling. logits: f32 [N,V].
void LogSoftmax(float softcap, const Matrix& logits);
// Sum of e^(z - largest) over z[n], whose largest element is given; n > 0.
float SumOfPowers(const float* z, int64_t n, float largest);
// In place: log p <- log((1 - g) p + g q), g = sigmoid(gates[n]). log_probs, others (q): f32 [N,V].
void MixLogProbabilities(const Matrix& log_probs, const Matrix& others, const float* gates);

// Look-ahead values (docs/spec/training.md#value-loss): target tau_t = mean(ce_t .. ce_{t+horizon-1}) for t <= T -
// horizon. ce, values: [B,T]. Returns the mean over the B * (T - horizon + 1) positions of (values - tau)^2, or 0 if T
// < horizon. dvalues (may be null): = gradient_scale * dL/dvalues [B,T], 0 where there is no target. correlation (may
// be null): Pearson correlation of values and tau, 0 if either is constant (std <= 1e-8).
double ValueLoss(int batch, int length, int horizon, const float* ce, const float* values, float gradient_scale,
                 float* dvalues, double* correlation);

}  // namespace flashlm::kernels
