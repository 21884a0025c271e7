#include "kernels/delta/delta.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/delta/plan.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/delta/delta.cc"
#include "hwy/foreach_target.h"
#include "kernels/delta/chunk-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// S^T k and S^T q in one pass over the state, two vectors of columns at a time.
HWY_INLINE void ReadState(const float* state, const float* k, const float* q, size_t m, float* state_k,
                          float* state_q) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t j = 0;
  for (; j + 2 * lanes <= m; j += 2 * lanes) {
    VF k0 = hn::Zero(d), k1 = k0, q0 = k0, q1 = k0;
    for (size_t i = 0; i < m; ++i) {
      const VF s0 = hn::LoadU(d, state + i * m + j), s1 = hn::LoadU(d, state + i * m + j + lanes);
      const VF ki = hn::Set(d, k[i]), qi = hn::Set(d, q[i]);
      k0 = hn::MulAdd(s0, ki, k0);
      k1 = hn::MulAdd(s1, ki, k1);
      q0 = hn::MulAdd(s0, qi, q0);
      q1 = hn::MulAdd(s1, qi, q1);
    }
    hn::Store(k0, d, state_k + j);
    hn::Store(k1, d, state_k + j + lanes);
    hn::Store(q0, d, state_q + j);
    hn::Store(q1, d, state_q + j + lanes);
  }
  for (; j < m; j += lanes) {
    VF k0 = hn::Zero(d), q0 = k0;
    for (size_t i = 0; i < m; ++i) {
      const float* row = state + i * m + j;
      const VF s = j + lanes <= m ? hn::LoadU(d, row) : LoadPartial(d, row, m - j);
      k0 = hn::MulAdd(s, hn::Set(d, k[i]), k0);
      q0 = hn::MulAdd(s, hn::Set(d, q[i]), q0);
    }
    hn::Store(k0, d, state_k + j);
    hn::Store(q0, d, state_q + j);
  }
}

// S <- alpha S + k e^T.
HWY_INLINE void UpdateState(float alpha, const float* k, const float* e, size_t m, float* state) {
  const DF d;
  const VF keep = hn::Set(d, alpha);
  for (size_t i = 0; i < m; ++i) {
    float* row = state + i * m;
    const VF ki = hn::Set(d, k[i]);
    MapRow(
        static_cast<int64_t>(m), [=](VF ej, VF s) { return hn::MulAdd(ki, ej, hn::Mul(keep, s)); }, row, e, row);
  }
}

struct TokenBuffers {
  float *k, *q, *v, *state_k, *state_q, *o;  // [mp]

  TokenBuffers(size_t, size_t mem_dim, Pieces& pieces) {
    for (float** p : {&k, &q, &v, &state_k, &state_q, &o}) *p = pieces.Take(mem_dim);
  }
};

// The recurrence, token by token, for decoding. S_t^T q = alpha S_{t-1}^T q + beta <k, q> e, so that one
// token reads the old state once and writes the new one once.
template <class T>
void ForwardTokens(const HeadRows<const T>& in, float alpha_bias, size_t length, float* state, const HeadRows<T>& out) {
  const DF d;
  const size_t m = in.m, mp = DeltaPadded(m);
  const float scale = 1.0f / std::sqrt(static_cast<float>(m));
  const auto [k, q, v, state_k, state_q, o] = ThreadBuffers<TokenBuffers>(1, m);
  for (float* x : {state_k, state_q}) std::fill(x, x + mp, 0.0f);
  for (size_t t = 0; t < length; ++t) {
    LoadRow(in.Key(t), m, mp, k);
    LoadRow(in.Query(t), m, mp, q);
    LoadRow(in.Value(t), m, mp, v);
    Normalize(k, mp, 1.0f);
    Normalize(q, mp, scale);
    const float beta_logit = ToFloat(*in.Beta(t));
    const float beta = hn::GetLane(Sigmoid(d, hn::Set(d, beta_logit)));
    const float alpha_logit = in.delta_rule ? ToFloat(*in.Alpha(t)) + alpha_bias : -beta_logit;
    const float alpha = hn::GetLane(Sigmoid(d, hn::Set(d, alpha_logit)));
    const float write = in.delta_rule ? beta : 1.0f;
    const float forget = in.delta_rule ? alpha : 0.0f;
    ReadState(state, k, q, m, state_k, state_q);
    const float kq = Dot(k, q, mp);
    for (size_t j = 0; j < mp; j += hn::Lanes(d)) {
      const VF value = hn::Load(d, v + j);
      const VF e = hn::Mul(hn::Set(d, write), hn::NegMulAdd(hn::Set(d, forget), hn::Load(d, state_k + j), value));
      const VF read = hn::MulAdd(hn::Set(d, kq), e, hn::Mul(hn::Set(d, alpha), hn::Load(d, state_q + j)));
      hn::Store(e, d, v + j);
      hn::Store(hn::MulAdd(hn::Set(d, beta), value, read), d, o + j);
    }
    UpdateState(alpha, k, v, m, state);
    StoreRow(o, m, out.Row(t));
  }
}

// O of the chunk to out, and S1 in place of S0.
template <class T>
void ReadAndWriteState(const Chunk& c, size_t count, float* state, float* o, T* out, int64_t out_stride) {
  const size_t n = c.n, mp = c.mp;
  Product<Part::kAll, false>(n, mp, mp, c.q, mp, state, mp, [&c, o](size_t t, size_t j, VF v) {
    const VF direct = hn::Mul(hn::Set(DF(), c.beta[t]), hn::Load(DF(), c.v + t * c.mp + j));
    hn::Store(hn::MulAdd(hn::Set(DF(), c.reach[t]), v, direct), DF(), o + t * c.mp + j);
  });
  Product<Part::kLower, false>(n, mp, n, c.read, n, c.e, mp, AddTo(o, mp));
  for (size_t t = 0; t < count; ++t) StoreRow(o + t * mp, c.m, out + static_cast<int64_t>(t) * out_stride);

  Product<Part::kAll, true>(mp, mp, n, c.kw, mp, c.e, mp, [&c, state](size_t i, size_t j, VF v) {
    float* s = state + i * c.mp + j;
    hn::Store(hn::MulAdd(hn::Set(DF(), c.reach[c.n - 1]), hn::Load(DF(), s), v), DF(), s);
  });
}

struct ForwardBuffers {
  Chunk chunk;
  float* state;  // [mp, mp]
  float* o;      // [n, mp]

  ForwardBuffers(size_t tokens, size_t mem_dim, Pieces& pieces) : chunk(tokens, mem_dim, pieces) {
    state = pieces.Take(chunk.mp * chunk.mp);
    o = pieces.Take(tokens * chunk.mp);
  }
};

// The same by chunks. saved (may be null): the state before each chunk, [chunks, mp, mp].
template <class T>
void ForwardChunks(const HeadRows<const T>& in, float alpha_bias, size_t length, float* user_state,
                   const HeadRows<T>& out, float* saved) {
  const size_t m = in.m, mp = DeltaPadded(m), n = DeltaChunk(m);
  const auto [c, state, o] = ThreadBuffers<ForwardBuffers>(n, m);
  std::fill(state, state + mp * mp, 0.0f);
  if (user_state != nullptr) {
    for (size_t i = 0; i < m; ++i) std::memcpy(state + i * mp, user_state + i * m, m * sizeof(float));
  }
  for (size_t t0 = 0; t0 < length; t0 += n) {
    const size_t count = std::min(n, length - t0);
    if (saved != nullptr) std::memcpy(saved + t0 / n * mp * mp, state, mp * mp * sizeof(float));
    LoadChunk(in, alpha_bias, t0, count, c);
    SolveErrors(c, in.delta_rule, state);
    ReadAndWriteState(c, count, state, o, out.Row(t0), out.stride);
  }
  if (user_state != nullptr) {
    for (size_t i = 0; i < m; ++i) std::memcpy(user_state + i * m, state + i * mp, m * sizeof(float));
  }
}

void Forward(const DeltaShape& shape, const Matrix& proj, const float* alpha_bias, float* state, int64_t state_stride,
             const Matrix& out, float* saved) {
  Dispatch(proj.dtype, [&]<class T>() {
    const size_t heads = static_cast<size_t>(shape.heads), m = static_cast<size_t>(shape.mem_dim);
    const size_t length = static_cast<size_t>(shape.length);
    const int64_t saved_head = DeltaSavedSize(shape) / std::max(1, shape.batch * shape.heads);
    ParallelBlocks(shape.batch * shape.heads, DeltaBlock(length, m), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t b = unit / shape.heads;
        const size_t h = static_cast<size_t>(unit % shape.heads);
        const HeadRows<const T> in{proj.Row<const T>(b * shape.length), proj.stride, heads, h, m, shape.delta_rule};
        const HeadRows<T> to{out.Row<T>(b * shape.length) + h * m, out.stride, heads, h, m, shape.delta_rule};
        const float bias = shape.delta_rule ? alpha_bias[h] : 0.0f;
        float* head_state = state ? state + b * state_stride + h * m * m : nullptr;
        if (saved == nullptr && head_state != nullptr && DeltaByTokens(length, m)) {
          ForwardTokens(in, bias, length, head_state, to);
        } else {
          ForwardChunks(in, bias, length, head_state, to, saved ? saved + unit * saved_head : nullptr);
        }
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Forward);

}  // namespace

int64_t DeltaStateSize(const DeltaShape& shape) { return int64_t{shape.heads} * shape.mem_dim * shape.mem_dim; }

int64_t DeltaSavedSize(const DeltaShape& shape) {
  const size_t m = static_cast<size_t>(shape.mem_dim), chunk = DeltaChunk(m), padded = DeltaPadded(m);
  const size_t chunks = (static_cast<size_t>(shape.length) + chunk - 1) / chunk;
  return int64_t{shape.batch} * shape.heads * static_cast<int64_t>(chunks * padded * padded);
}

void DeltaMemory(const DeltaShape& shape, const Matrix& proj, const float* alpha_bias, float* state,
                 int64_t state_stride, const Matrix& out, float* saved) {
  FLASHLM_DISPATCH(Forward)(shape, proj, alpha_bias, state, state_stride, out, saved);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
