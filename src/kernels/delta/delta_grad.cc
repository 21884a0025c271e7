#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/delta/delta.h"
#include "kernels/delta/plan.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/delta/delta_grad.cc"
#include "hwy/foreach_target.h"
#include "kernels/delta/chunk-inl.h"
#include "kernels/simd-inl.h"

// With the names of chunk-inl.h, dO given and Z = dL/dS1:
//   dE = P^T dO + diag(w) K Z;   (I + A^T) dW = dE (linear: dW = dE);   dV = dW + diag(beta) dO
//   X = (dO E^T) * D beta;   Y = (dW E^T) * D beta, strictly lower (linear: none)
//   c dq^ = diag(g) dO S0^T + X K
//   dk^ = diag(w) E Z^T + X^T (c Q) - (Y + Y^T) K - diag(g) dW S0^T
//   dS0 = g_last Z + (c Q)^T diag(g) dO - K^T diag(g) dW
// The gates come almost free. beta_s scales what token s writes, so beta_s dbeta_s = <e_s, dW_s> (+ the
// direct path). Every term of the output that reaches back over a decay is linear in its reader, q_t or W_t,
// and in its writer, dW_s; summed over those that cross the border before token j,
//   alpha_j dalpha_j = sum over t >= j of (<q_t, dq_t> - <v_t, dW_t>) + <Z, S1>.
HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

struct GradBuffers {
  Chunk chunk;
  float *dout, *dw, *dk, *dq;                // [n, mp]
  float* et;                                 // [mp, n]
  float *x, *y;                              // [n, n]
  float *dstate, *dstate_t, *state_t;        // [mp, mp]: Z, Z^T, S0^T
  float *error_dot, *value_dot, *decay_dot;  // [n]: <e, dW>, <v, dO>, <v, dW>
  float *k_dot, *q_dot;                      // [n]: <k, dk>, <q, dq>

  GradBuffers(size_t tokens, size_t mem_dim, Pieces& pieces) : chunk(tokens, mem_dim, pieces) {
    const size_t mp = chunk.mp;
    for (float** p : {&dout, &dw, &dk, &dq, &et}) *p = pieces.Take(tokens * mp);
    for (float** p : {&x, &y}) *p = pieces.Take(tokens * tokens);
    for (float** p : {&dstate, &dstate_t, &state_t}) *p = pieces.Take(mp * mp);
    for (float** p : {&error_dot, &value_dot, &decay_dot, &k_dot, &q_dot}) *p = pieces.Take(tokens);
  }
};

// dW, with dO in place.
HWY_INLINE void SolveErrorGrad(const GradBuffers& g, bool delta_rule) {
  const Chunk& c = g.chunk;
  Product<Part::kAll, false>(c.n, c.mp, c.mp, c.kw, c.mp, g.dstate, c.mp, SetTo(g.dw, c.mp));
  Product<Part::kUpper, true>(c.n, c.mp, c.n, c.read, c.n, g.dout, c.mp, AddTo(g.dw, c.mp));
  if (delta_rule) SolveUnitTriangular<true>(c.n, c.mp, c.solve, c.n, g.dw, c.mp);
}

// What k^ and q get from the pairs of tokens of the chunk.
HWY_INLINE void PairGrad(const GradBuffers& g, bool delta_rule) {
  const Chunk& c = g.chunk;
  const size_t n = c.n, mp = c.mp;
  const auto decayed = [&](float* to) {
    return [to, n, decay = c.decay](size_t t, size_t s, VF dot) {
      hn::Store(hn::Mul(dot, hn::Load(DF(), decay + t * n + s)), DF(), to + t * n + s);
    };
  };
  Transpose(n, mp, c.e, g.et);
  Product<Part::kLowerResult, false>(n, n, mp, g.dout, mp, g.et, n, decayed(g.x));
  Product<Part::kLower, false>(n, mp, n, g.x, n, c.k, mp, SetTo(g.dq, mp));
  Product<Part::kUpper, true>(n, mp, n, g.x, n, c.q, mp, AddTo(g.dk, mp));
  if (!delta_rule) return;
  Product<Part::kLowerResult, false>(n, n, mp, g.dw, mp, g.et, n, decayed(g.y));
  for (size_t t = 0; t < n; ++t) g.y[t * n + t] = 0.0f;
  Product<Part::kLower, false>(n, mp, n, g.y, n, c.k, mp, SubtractFrom(g.dk, mp));
  Product<Part::kUpper, true>(n, mp, n, g.y, n, c.k, mp, SubtractFrom(g.dk, mp));
}

// What k^, q and S0 get from the state at the start; dout and dw are scaled by g. Returns <dL/dS0, S0>.
HWY_INLINE float StateGrad(const GradBuffers& g, bool delta_rule, const float* state) {
  const DF d;
  const Chunk& c = g.chunk;
  const size_t n = c.n, mp = c.mp;
  ScaleRows(n, mp, c.reach, g.dout);
  ScaleRows(n, mp, c.reach, g.dw);
  Transpose(mp, mp, state, g.state_t);
  Product<Part::kAll, false>(n, mp, mp, g.dout, mp, g.state_t, mp, AddTo(g.dq, mp));
  if (delta_rule) Product<Part::kAll, false>(n, mp, mp, g.dw, mp, g.state_t, mp, SubtractFrom(g.dk, mp));

  const VF keep = hn::Set(d, c.reach[n - 1]);
  Product<Part::kAll, true>(mp, mp, n, c.q, mp, g.dout, mp, [&](size_t i, size_t j, VF v) {
    float* z = g.dstate + i * mp + j;
    hn::Store(hn::MulAdd(keep, hn::Load(d, z), v), d, z);
  });
  if (delta_rule) Product<Part::kAll, true>(mp, mp, n, c.k, mp, g.dw, mp, SubtractFrom(g.dstate, mp));
  return Dot(g.dstate, state, mp * mp);
}

// dx of x^ = x / |x|, in place of dx^: (dx^ - x^ <x^, dx^>) / |x|.
HWY_INLINE void NormalizeGrad(const float* unit, float projection, float inverse, size_t n, float* dx) {
  const DF d;
  const VF along = hn::Set(d, projection), scale = hn::Set(d, inverse);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    hn::Store(hn::Mul(scale, hn::NegMulAdd(hn::Load(d, unit + i), along, hn::Load(d, dx + i))), d, dx + i);
  }
}

// dV, and what the gates need of it.
template <class T>
void StoreValueGrad(const GradBuffers& g, size_t t0, size_t count, const HeadRows<T>& grad) {
  const DF d;
  const Chunk& c = g.chunk;
  const size_t n = c.n, mp = c.mp;
  RowDots(n, mp, c.e, g.dw, g.error_dot);
  RowDots(n, mp, c.v, g.dout, g.value_dot);
  RowDots(n, mp, c.v, g.dw, g.decay_dot);
  float* dv = g.dq;  // free until PairGrad
  for (size_t t = 0; t < count; ++t) {
    const VF beta = hn::Set(d, c.beta[t]);
    for (size_t i = 0; i < mp; i += hn::Lanes(d)) {
      const VF dout = hn::Load(d, g.dout + t * mp + i), dw = hn::Load(d, g.dw + t * mp + i);
      hn::Store(hn::MulAdd(beta, dout, dw), d, dv + i);
    }
    StoreRow(dv, c.m, grad.Value(t0 + t));
  }
}

// dK, dQ through the norm, and the gates. after = <Z, S1>. Returns the sum of the gradients of alpha's
// logits.
template <class T>
float StoreKeyAndGateGrad(const GradBuffers& g, size_t t0, size_t count, float after, const HeadRows<T>& grad) {
  const Chunk& c = g.chunk;
  const size_t mp = c.mp;
  RowDots(c.n, mp, c.k, g.dk, g.k_dot);
  RowDots(c.n, mp, c.q, g.dq, g.q_dot);
  float log_alpha = after, bias = 0.0f;
  for (size_t t = count; t-- > 0;) {
    float *dk = g.dk + t * mp, *dq = g.dq + t * mp;
    NormalizeGrad(c.k + t * mp, g.k_dot[t], c.k_inverse[t], mp, dk);
    // q holds c q^, and dq is that of c q^: the projection on the unit vector is c q^ <c q^, dq> / c^2.
    NormalizeGrad(c.q + t * mp, g.q_dot[t] * static_cast<float>(c.m), c.q_inverse[t], mp, dq);
    StoreRow(dk, c.m, grad.Key(t0 + t));
    StoreRow(dq, c.m, grad.Query(t0 + t));

    log_alpha += g.q_dot[t] - g.decay_dot[t];
    const float beta = c.beta[t];
    if (grad.delta_rule) {
      const float alpha_logit = (1.0f - c.alpha[t]) * log_alpha;
      *grad.Beta(t0 + t) = FromFloat<T>((1.0f - beta) * (g.error_dot[t] + beta * g.value_dot[t]));
      *grad.Alpha(t0 + t) = FromFloat<T>(alpha_logit);
      bias += alpha_logit;
    } else {
      *grad.Beta(t0 + t) = FromFloat<T>(beta * (c.alpha[t] * g.value_dot[t] - log_alpha));
    }
  }
  return bias;
}

// One head of one row of the batch. Returns dL/dalpha_bias.
template <class T>
float BackwardHead(const HeadRows<const T>& in, float alpha_bias, size_t length, const float* saved,
                   const HeadRows<const T>& dout, const HeadRows<T>& grad) {
  const size_t n = DeltaChunk(in.m);
  const GradBuffers g = ThreadBuffers<GradBuffers>(n, in.m);
  const Chunk& c = g.chunk;
  const size_t mp = c.mp;
  std::fill(g.dstate, g.dstate + mp * mp, 0.0f);
  float after = 0.0f, bias = 0.0f;
  for (size_t chunk = (length + n - 1) / n; chunk-- > 0;) {
    const size_t t0 = chunk * n, count = std::min(n, length - t0);
    const float* state = saved + chunk * mp * mp;
    LoadChunk(in, alpha_bias, t0, count, c);
    for (size_t t = 0; t < count; ++t) LoadRow(dout.Row(t0 + t), c.m, mp, g.dout + t * mp);
    std::fill(g.dout + count * mp, g.dout + n * mp, 0.0f);
    SolveErrors(c, in.delta_rule, state);
    SolveErrorGrad(g, in.delta_rule);
    StoreValueGrad(g, t0, count, grad);
    Transpose(mp, mp, g.dstate, g.dstate_t);
    Product<Part::kAll, false>(n, mp, mp, c.e, mp, g.dstate_t, mp, [&](size_t t, size_t j, VF v) {
      hn::Store(hn::Mul(hn::Set(DF(), c.Write()[t]), v), DF(), g.dk + t * mp + j);
    });
    PairGrad(g, in.delta_rule);
    const float before = StateGrad(g, in.delta_rule, state);
    bias += StoreKeyAndGateGrad(g, t0, count, after, grad);
    after = before;
  }
  return bias;
}

// bias_parts: [B*H], null for linear.
void Backward(const DeltaShape& shape, const Matrix& proj, const float* alpha_bias, const float* saved,
              const Matrix& dout, const Matrix& dproj, float* bias_parts) {
  Dispatch(proj.dtype, [&]<class T>() {
    const size_t heads = static_cast<size_t>(shape.heads), m = static_cast<size_t>(shape.mem_dim);
    const size_t length = static_cast<size_t>(shape.length);
    const int64_t units = int64_t{shape.batch} * shape.heads;
    const int64_t saved_head = units > 0 ? DeltaSavedSize(shape) / units : 0;
    const bool delta = shape.delta_rule;
    ParallelBlocks(units, DeltaBlock(length, m), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t row = unit / shape.heads * shape.length;
        const size_t h = static_cast<size_t>(unit % shape.heads);
        const HeadRows<const T> in{proj.Row<const T>(row), proj.stride, heads, h, m, delta};
        const HeadRows<const T> from{dout.Row<const T>(row) + h * m, dout.stride, heads, h, m, delta};
        const HeadRows<T> grad{dproj.Row<T>(row), dproj.stride, heads, h, m, delta};
        const float bias =
            BackwardHead(in, delta ? alpha_bias[h] : 0.0f, length, saved + unit * saved_head, from, grad);
        if (delta) bias_parts[unit] = bias;
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Backward);

struct BiasParts {
  float* parts;
  BiasParts(size_t batch, size_t heads, Pieces& pieces) : parts(pieces.Take(batch * heads)) {}
};

}  // namespace

void DeltaMemoryGrad(const DeltaShape& shape, const Matrix& proj, const float* alpha_bias, const float* saved,
                     const Matrix& dout, const Matrix& dproj, float* dalpha_bias) {
  const size_t batch = static_cast<size_t>(shape.batch), heads = static_cast<size_t>(shape.heads);
  float* parts = shape.delta_rule ? ThreadBuffers<BiasParts>(batch, heads).parts : nullptr;
  FLASHLM_DISPATCH(Backward)(shape, proj, alpha_bias, saved, dout, dproj, parts);
  if (!shape.delta_rule) return;
  for (size_t h = 0; h < heads; ++h) {
    for (size_t b = 0; b < batch; ++b) dalpha_bias[h] += parts[b * heads + h];
  }
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
