// The definition of the reasoning engine, templated on the number type so that complex-step differentiation applies:
// choices go by real parts, slots are constants.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/activation/ref.h"
#include "kernels/norm/ref.h"
#include "kernels/reasoning/reasoning.h"
#include "kernels/ternary/ref.h"

namespace flashlm::kernels::ref {

template <class S>
using Vector = std::vector<S>;

// W x, W [out, x.size()].
template <class S>
Vector<S> Apply(const S* w, int out, const Vector<S>& x) {
  Vector<S> y(static_cast<size_t>(out), S(0));
  for (int o = 0; o < out; ++o) {
    for (size_t i = 0; i < x.size(); ++i) y[static_cast<size_t>(o)] += w[static_cast<size_t>(o) * x.size() + i] * x[i];
  }
  return y;
}

template <class S>
Vector<S> Softmax(Vector<S> x) {
  using std::exp;
  double largest = RealPart(x[0]);
  for (const S& v : x) largest = std::max(largest, RealPart(v));
  S sum = 0;
  for (S& v : x) sum += v = exp(v - S(largest));
  for (S& v : x) v /= sum;
  return x;
}

// Of one token.
template <class S>
class ReasoningToken {
 public:
  ReasoningToken(const ReasoningShape& shape, const ReasoningMaps<const S>& maps) : shape_(shape), maps_(maps) {
    for (int i = 0; i < shape.slots * shape.width; ++i) slots_.push_back(S(RealPart(maps.slots[i])));
  }

  // Adds to usage [K] the probabilities and to choices [K] the counts of every pass.
  Vector<S> Run(Vector<S> r, int64_t token, Vector<S>& usage, Vector<double>& choices, int64_t& passes) const {
    Vector<S> logits = Apply(maps_.classifier, kDepthChoices, Rounded(r));
    int chosen = 0;
    for (int d = 0; d < kDepthChoices; ++d) {
      if (shape_.training) logits[d] += S(shape_.noise * GumbelNoise(shape_.key, shape_.step, token, d));
      if (RealPart(logits[d]) > RealPart(logits[chosen])) chosen = d;
    }
    const int depth = shape_.depth > 0 ? shape_.depth : kReasoningDepths[chosen];
    const bool blend = shape_.Blends();
    logits.resize(static_cast<size_t>(chosen) + 1);
    const Vector<S> weights = Softmax(logits);
    Vector<S> y(r.size(), S(0));
    for (int pass = 1; pass <= depth; ++pass) {
      r = Pass(r, usage, choices);
      ++passes;
      for (int d = 0; blend && d <= chosen; ++d) {
        for (size_t i = 0; kReasoningDepths[d] == pass && i < r.size(); ++i) y[i] += weights[d] * r[i];
      }
    }
    if (!blend) y = r;
    const S gate = Sigmoid(Apply(maps_.write_gate, 1, r)[0]);
    const Vector<S> value = Apply(maps_.write_value, shape_.width, r), read = Read(maps_.write_key, r);
    for (size_t i = 0; i < y.size(); ++i) y[i] += maps_.write_scale[0] * (gate * value[i] + S(0.1) * read[i]);
    return y;
  }

 private:
  Vector<S> Rounded(const Vector<S>& r) const {
    Vector<S> q = r;
    if (shape_.int8) QuantizeRows(r.data(), 1, shape_.width, q.data());
    return q;
  }

  Vector<S> Read(const S* key, const Vector<S>& r) const {
    Vector<S> scores = Apply(slots_.data(), shape_.slots, Apply(key, shape_.width, r));
    for (S& score : scores) score /= S(std::sqrt(shape_.width));
    const Vector<S> address = Softmax(scores);
    Vector<S> read(r.size(), S(0));
    for (size_t s = 0; s < address.size(); ++s) {
      for (size_t i = 0; i < r.size(); ++i) read[i] += address[s] * slots_[s * r.size() + i];
    }
    return read;
  }

  Vector<S> Pass(const Vector<S>& r, Vector<S>& usage, Vector<double>& choices) const {
    const Vector<S> rounded = Rounded(r);
    const Vector<S> logits = Apply(maps_.router, shape_.operations, rounded);
    const Vector<S> probabilities = Softmax(logits);
    for (size_t k = 0; k < probabilities.size(); ++k) usage[k] += probabilities[k];
    Vector<int> order;
    for (int k = 0; k < shape_.operations; ++k) order.push_back(k);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return RealPart(logits[a]) > RealPart(logits[b]); });
    const Vector<S> weights = Softmax(Vector<S>{logits[order[0]], logits[order[1]]});
    Vector<S> both(r.size(), S(0));  // [o; m]
    for (int i = 0; i < 2; ++i) {
      choices[order[i]] += 1;
      const Vector<S> result =
          Apply(maps_.operations + int64_t{order[i]} * shape_.width * shape_.width, shape_.width, rounded);
      for (size_t c = 0; c < r.size(); ++c) both[c] += weights[i] * result[c];
    }
    const Vector<S> read = Read(maps_.read_key, r);
    both.insert(both.end(), read.begin(), read.end());
    Vector<S> sum = Apply(maps_.mix, shape_.width, both), y(r.size());
    for (size_t c = 0; c < r.size(); ++c) sum[c] += r[c];
    LayerNorm(sum.data(), maps_.gain, maps_.bias, 1, 1e-5, 1, shape_.width, y.data());
    return y;
  }

  const ReasoningShape& shape_;
  const ReasoningMaps<const S>& maps_;
  Vector<S> slots_;
};

// y [N,R] of r [N,R]; usage and shares [K] as in ReasoningSums. Ternary maps hold effective weights.
template <class S>
void Reasoning(const ReasoningShape& shape, const ReasoningMaps<const S>& maps, const S* r, S* y, Vector<S>& usage,
               Vector<double>& shares) {
  const ReasoningToken<S> engine(shape, maps);
  usage.assign(static_cast<size_t>(shape.operations), S(0));
  shares.assign(usage.size(), 0.0);
  int64_t passes = 0;
  for (int64_t n = 0; n < shape.rows; ++n) {
    const S* row = r + n * shape.width;
    const Vector<S> result = engine.Run(Vector<S>(row, row + shape.width), n, usage, shares, passes);
    std::copy(result.begin(), result.end(), y + n * shape.width);
  }
  for (S& u : usage) u /= S(static_cast<double>(passes));
  for (double& share : shares) share /= 2.0 * static_cast<double>(passes);
}

}  // namespace flashlm::kernels::ref
