// One chunk of the delta memory and what forward and backward share of it. Included inside kernel files only.
//
// Inside a chunk that starts with the state S0 the recurrence unrolls to matrix products. With the decay from
// s to t D_ts = alpha_{s+1} .. alpha_t, its reach g_t = alpha_1 .. alpha_t, and c = 1 / sqrt(M):
//   delta:  (I + A) E = V - diag(g) K S0   with A_ts = D_ts beta_s <k_t, k_s>, s < t   (one triangular solve)
//   linear: E = V, and beta_s = 1 in what is written
//   O = diag(g) c Q S0 + P E + diag(beta) V    with P_ts = c D_ts beta_s <q_t, k_s>, s <= t
//   S1 = g_last S0 + K^T diag(w) E             with w_s = D_last,s beta_s
// D is built row by row as products of numbers in (0, 1): nothing is divided, nothing can overflow.
#if defined(FLASHLM_KERNELS_DELTA_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_DELTA_CHUNK_INL_H_
#undef FLASHLM_KERNELS_DELTA_CHUNK_INL_H_
#else
#define FLASHLM_KERNELS_DELTA_CHUNK_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/delta/matrix-inl.h"
#include "kernels/delta/plan.h"
#include "kernels/lanes-inl.h"
#include "kernels/matrix.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// The columns of one head in proj (or dproj).
template <class T>
struct HeadRows {
  T* first;  // row of token 0
  int64_t stride;
  size_t heads, head, m;
  bool delta_rule;

  T* Row(size_t t) const { return first + static_cast<int64_t>(t) * stride; }
  T* Key(size_t t) const { return Row(t) + head * m; }
  T* Value(size_t t) const { return Row(t) + (heads + head) * m; }
  T* Query(size_t t) const { return Row(t) + (2 * heads + head) * m; }
  T* Beta(size_t t) const { return Row(t) + 3 * heads * m + head; }
  T* Alpha(size_t t) const { return Row(t) + (3 * m + 1) * heads + head; }  // delta rule only
};

// Rows beyond the end of the sequence are neutral: zero vectors, beta 0, alpha 1.
struct Chunk {
  size_t n, m, mp;               // padded tokens; M; padded M
  float scale;                   // 1 / sqrt(M)
  float *k, *q, *v, *e;          // [n, mp]: k^, c q^, v, e
  float *kt, *kw;                // [mp, n] transpose of k^; [n, mp] diag(w) k^
  float *decay, *solve, *read;   // [n, n]: D_ts beta_s (linear: D_ts), A, P
  float *alpha, *beta, *reach;   // [n]: alpha, beta, g
  float *k_inverse, *q_inverse;  // [n]: 1 / |k|, c / |q|
  float* factor;                 // [n] scratch

  Chunk(size_t tokens, size_t mem_dim, Pieces& pieces) : n(tokens), m(mem_dim), mp(DeltaPadded(mem_dim)) {
    scale = 1.0f / std::sqrt(static_cast<float>(m));
    for (float** p : {&k, &q, &v, &e, &kt, &kw}) *p = pieces.Take(n * mp);
    for (float** p : {&decay, &solve, &read}) *p = pieces.Take(n * n);
    for (float** p : {&alpha, &beta, &reach, &k_inverse, &q_inverse, &factor}) *p = pieces.Take(n);
  }
  const float* Write() const { return decay + (n - 1) * n; }  // w [n]
};

// dst[0, mp) = src[0, m) followed by zeros.
template <class T>
HWY_INLINE void LoadRow(const T* src, size_t m, size_t mp, float* dst) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= m; i += lanes) hn::Store(LoadF32(d, src + i), d, dst + i);
  if (i < m) {
    hn::Store(LoadPartial(d, src + i, m - i), d, dst + i);
    i += lanes;
  }
  for (; i < mp; i += lanes) hn::Store(hn::Zero(d), d, dst + i);
}

template <class T>
HWY_INLINE void StoreRow(const float* src, size_t m, T* dst) {
  MapRow(
      static_cast<int64_t>(m), [](VF v) { return v; }, dst, src);
}

constexpr float kShortestNorm = 1e-12f;

// x <- scale x / max(|x|, 1e-12).
HWY_INLINE void Normalize(float* x, size_t n, float scale) {
  const DF d;
  const VF factor = hn::Set(d, scale / std::max(std::sqrt(Dot(x, x, n)), kShortestNorm));
  for (size_t i = 0; i < n; i += hn::Lanes(d)) hn::Store(hn::Mul(hn::Load(d, x + i), factor), d, x + i);
}

// The same for the rows of x [n, mp]. inverse[i] = scale / |x_i|; 0 for a vector too short to have a
// direction, which then gets no gradient (its true one, 1e12 times that of the unit vector, would only
// destroy the step).
HWY_INLINE void NormalizeRows(size_t n, size_t mp, float scale, float* x, float* inverse, float* factor) {
  const DF d;
  const VF shortest = hn::Set(d, kShortestNorm), vscale = hn::Set(d, scale);
  RowDots(n, mp, x, x, factor);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const VF norm = hn::Sqrt(hn::Load(d, factor + i));
    const VF f = hn::Div(vscale, hn::Max(norm, shortest));
    hn::Store(f, d, factor + i);
    hn::Store(hn::IfThenZeroElse(hn::Lt(norm, shortest), f), d, inverse + i);
  }
  ScaleRows(n, mp, factor, x);
}

// alpha, beta, and from them the decays.
template <class T>
void LoadGates(const HeadRows<const T>& in, float alpha_bias, size_t t0, size_t count, const Chunk& c) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t t = 0; t < count; ++t) {
    c.beta[t] = ToFloat(*in.Beta(t0 + t));
    c.alpha[t] = in.delta_rule ? ToFloat(*in.Alpha(t0 + t)) + alpha_bias : -c.beta[t];
  }
  std::fill(c.beta + count, c.beta + c.n, 0.0f);
  std::fill(c.alpha + count, c.alpha + c.n, 0.0f);
  for (size_t t = 0; t < c.n; t += lanes) {
    hn::Store(Sigmoid(d, hn::Load(d, c.beta + t)), d, c.beta + t);
    hn::Store(Sigmoid(d, hn::Load(d, c.alpha + t)), d, c.alpha + t);
  }
  std::fill(c.beta + count, c.beta + c.n, 0.0f);
  std::fill(c.alpha + count, c.alpha + c.n, 1.0f);

  float reach = 1.0f;
  for (size_t t = 0; t < c.n; ++t) c.reach[t] = reach *= c.alpha[t];
  // Column blocks, so that the running product stays in a register.
  for (size_t s = 0; s < c.n; s += lanes) {
    const VF columns = hn::Iota(d, static_cast<float>(s));
    VF row = hn::Zero(d);
    for (size_t t = 0; t < c.n; ++t) {
      const VF first = hn::Set(d, in.delta_rule ? c.beta[t] : 1.0f);
      row = hn::IfThenElse(hn::Eq(columns, hn::Set(d, static_cast<float>(t))), first,
                           hn::Mul(row, hn::Set(d, c.alpha[t])));
      hn::Store(row, d, c.decay + t * c.n + s);
    }
  }
}

// Everything of the chunk that does not need the state, for tokens [t0, t0 + count).
template <class T>
void LoadChunk(const HeadRows<const T>& in, float alpha_bias, size_t t0, size_t count, const Chunk& c) {
  const DF d;
  const size_t n = c.n, mp = c.mp;
  LoadGates(in, alpha_bias, t0, count, c);
  for (size_t t = 0; t < count; ++t) {
    LoadRow(in.Key(t0 + t), c.m, mp, c.k + t * mp);
    LoadRow(in.Query(t0 + t), c.m, mp, c.q + t * mp);
    LoadRow(in.Value(t0 + t), c.m, mp, c.v + t * mp);
  }
  for (float* x : {c.k, c.q, c.v}) std::fill(x + count * mp, x + n * mp, 0.0f);
  NormalizeRows(n, mp, 1.0f, c.k, c.k_inverse, c.factor);
  NormalizeRows(n, mp, c.scale, c.q, c.q_inverse, c.factor);
  for (size_t t = 0; t < n; ++t) {
    const VF w = hn::Set(d, c.Write()[t]);
    for (size_t i = t * mp; i < (t + 1) * mp; i += hn::Lanes(d)) {
      hn::Store(hn::Mul(w, hn::Load(d, c.k + i)), d, c.kw + i);
    }
  }

  Transpose(n, mp, c.k, c.kt);
  const auto decayed = [&](float* to) {
    return [to, n, decay = c.decay](size_t t, size_t s, VF dot) {
      hn::Store(hn::Mul(dot, hn::Load(DF(), decay + t * n + s)), DF(), to + t * n + s);
    };
  };
  Product<Part::kLowerResult, false>(n, n, mp, c.q, mp, c.kt, n, decayed(c.read));
  if (in.delta_rule) Product<Part::kLowerResult, false>(n, n, mp, c.k, mp, c.kt, n, decayed(c.solve));
}

// E from the state at the start of the chunk, [mp, mp].
HWY_INLINE void SolveErrors(const Chunk& c, bool delta_rule, const float* state) {
  if (!delta_rule) {
    std::memcpy(c.e, c.v, c.n * c.mp * sizeof(float));
    return;
  }
  Product<Part::kAll, false>(c.n, c.mp, c.mp, c.k, c.mp, state, c.mp, [&c](size_t t, size_t j, VF v) {
    const size_t at = t * c.mp + j;
    hn::Store(hn::NegMulAdd(hn::Set(DF(), c.reach[t]), v, hn::Load(DF(), c.v + at)), DF(), c.e + at);
  });
  SolveUnitTriangular<false>(c.n, c.mp, c.solve, c.n, c.e, c.mp);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
