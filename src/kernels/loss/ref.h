// The definition of the losses, templated on the number type so that complex-step differentiation applies.
#pragma once

#include <cmath>
#include <complex>
#include <vector>

namespace flashlm::kernels::ref {

// z <- log softmax(softcap tanh(z / softcap)); softcap 0: none. z: [cols].
template <class S>
void LogSoftmaxRow(double softcap, S* z, int cols) {
  using std::exp, std::log, std::tanh;
  if (softcap > 0) {
    for (int i = 0; i < cols; ++i) z[i] = softcap * tanh(z[i] / softcap);
  }
  double max = std::real(z[0]);
  for (int i = 1; i < cols; ++i) max = std::real(z[i]) > max ? std::real(z[i]) : max;
  S sum = 0;
  for (int i = 0; i < cols; ++i) sum += exp(z[i] - max);
  const S log_sum = log(sum) + max;
  for (int i = 0; i < cols; ++i) z[i] -= log_sum;
}

// ce = -log p(target) and the entropy H(p) of each row, in nats. logits: [rows, cols].
template <class S>
void SoftmaxCrossEntropy(double softcap, const S* logits, const int* targets, int rows, int cols, S* ce, S* entropy) {
  using std::exp;
  for (int r = 0; r < rows; ++r) {
    std::vector<S> log_p(logits + r * cols, logits + (r + 1) * cols);
    LogSoftmaxRow(softcap, log_p.data(), cols);
    ce[r] = -log_p[targets[r]];
    entropy[r] = 0;
    for (const S& l : log_p) entropy[r] -= exp(l) * l;
  }
}

// -log((1 - g) e^-nats + g q), g = sigmoid(gate): of a target that a second opinion gives the probability q.
template <class S>
S MixedNats(S nats, S gate, double q) {
  using std::exp, std::log;
  const S g = 1.0 / (1.0 + exp(-gate));
  return -log((1.0 - g) * exp(-nats) + g * q);
}

// u = -log(1 - min(p(token), 0.99) + 1e-8) of one row of logits, 0 for token -1.
template <class S>
S Unlikelihood(double softcap, const S* logits, int token, int cols) {
  using std::exp, std::log;
  if (token < 0) return logits[0] * 0.0;
  std::vector<S> log_p(logits, logits + cols);
  LogSoftmaxRow(softcap, log_p.data(), cols);
  const S p = exp(log_p[static_cast<size_t>(token)]);
  return std::real(p) < 0.99 ? -log(1.0 - p + 1e-8) : -log(S(0.01 + 1e-8));
}

// Mean over b and t <= T - horizon of (values - mean(ce_t .. ce_{t+horizon-1}))^2. ce, values: [batch,
// length].
template <class S>
S ValueLoss(int batch, int length, int horizon, const double* ce, const S* values) {
  S sum = 0;
  int count = 0;
  for (int b = 0; b < batch; ++b) {
    for (int t = 0; t + horizon <= length; ++t) {
      double target = 0;
      for (int i = 0; i < horizon; ++i) target += ce[b * length + t + i] / horizon;
      const S error = values[b * length + t] - target;
      sum += error * error;
      ++count;
    }
  }
  return count ? sum / double(count) : S(0);
}

}  // namespace flashlm::kernels::ref
