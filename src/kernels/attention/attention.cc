#include "kernels/attention/attention.h"

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/attention/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention.cc"
#include "hwy/foreach_target.h"
#include "kernels/attention/band-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

struct ForwardCall {
  const AttentionShape& shape;
  const Qkv& in;
  const AttentionState* state;
  const Matrix& out;
  float* log_sums;
  const RopeTable* rope;

  int64_t Position(int64_t row) const { return state == nullptr ? 0 : state->position[row]; }
  // The ring's key of a head's absolute position; its value stands `ValueOffset` further.
  template <class T>
  T* Ring(const Head<T>& head, int64_t position) const {
    return reinterpret_cast<T*>(state->rings + head.row() * state->row_stride) + head.column() * shape.window +
           position % shape.window * head.dim();
  }
  int64_t ValueOffset() const { return int64_t{shape.window} * shape.heads * shape.head_dim; }
};

// Turns a row of scores (powers of two) into unnormalised probabilities, zero outside [first, last), times
// the dropout factors if there are any. Returns their sum before dropout, and the largest score.
HWY_INLINE float Softmax(float* scores, int64_t n, int64_t first, int64_t last, const float* factors, float* largest) {
  const DF d;
  const SeenLanes seen(first, last);
  const VF nothing = hn::Set(d, -INFINITY);
  VF most = nothing;
  for (int64_t i = 0; i < n; i += kLanes) {
    const VF score = hn::IfThenElse(seen.At(i), hn::LoadU(d, scores + i), nothing);
    most = hn::Max(most, score);
    hn::StoreU(score, d, scores + i);
  }
  most = hn::MaxOfLanes(d, most);
  VF sum = hn::Zero(d);
  for (int64_t i = 0; i < n; i += kLanes) {
    VF p = Exp2(d, hn::Sub(hn::LoadU(d, scores + i), most));  // 0 of what is not seen
    sum = hn::Add(sum, p);
    if (factors != nullptr) p = hn::Mul(p, hn::LoadU(d, factors + i));
    hn::StoreU(p, d, scores + i);
  }
  *largest = hn::GetLane(most);
  return SumLanes(d, sum);
}

// Queries [begin, end) of one head. Keys are numbered from `base_`, a multiple of kBlock, for token `begin`,
// so that those before it have numbers too.
template <class T>
class ForwardUnit {
 public:
  ForwardUnit(const ForwardCall& call, int64_t unit, int64_t begin, int64_t end)
      : call_(call), head_(call.shape, call.rope, unit), dropout_(call.shape), unit_(unit), begin_(begin), end_(end) {
    const int64_t position = call.Position(head_.row());
    history_ = std::min<int64_t>(call.shape.window - 1, position + begin);
    base_ = RoundUp(history_, kBlock);
    depth_ = call.shape.head_dim;
    width_ = RoundUp(depth_, kLanes);
    const int64_t keys = base_ + RoundUp(end - begin, kLanes);
    // A query tile's band, cut at multiples of kTile, and a vector that may start at its last half.
    score_stride_ = RoundUp(std::min<int64_t>(call.shape.window, keys) + kTile, kTile) + 2 * kLanes;
    Scratch& scratch = Scratch::OfThread();
    scratch.Reserve(keys * (depth_ + width_) + 3 * kLanes * width_ + (kTile + 1) * score_stride_ + depth_, 8);
    panels_ = scratch.Take(keys * depth_);
    values_ = scratch.Take(keys * width_);
    queries_ = scratch.Take(kLanes * width_);
    key_rows_ = scratch.Take(kLanes * width_);
    output_ = scratch.Take(kTile * width_);
    scores_ = scratch.Take(kTile * score_stride_);
    factors_ = scratch.Take(score_stride_);
    angles_ = scratch.Take(depth_);
  }

  void Run() {
    for (int64_t key = RoundDown(base_ - history_, kLanes); key < base_; key += kLanes) LoadPanel(key);
    for (int64_t key = base_; key < base_ + end_ - begin_; key += kLanes) {
      LoadPanel(key);
      for (int64_t tile = key; tile < std::min(key + kLanes, base_ + end_ - begin_); tile += kTile) {
        RunTile(tile, queries_ + (tile - key) * width_);
      }
    }
  }

 private:
  int64_t TokenOf(int64_t key) const { return key - base_ + begin_; }

  // Lays out keys and values [key, key + kLanes), and the queries if these are new tokens.
  void LoadPanel(int64_t key) {
    const float scale = QueryScale(depth_);
    const int64_t position = call_.Position(head_.row());
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t t = TokenOf(key + i);
      float* key_row = key_rows_ + i * width_;
      float* query = queries_ + i * width_;
      float* value = values_ + (key + i) * width_;
      if (key + i < base_ - history_ || t >= end_) {
        std::fill_n(key_row, depth_, 0.0f);
        std::fill_n(query, depth_, 0.0f);
      } else if (t < 0) {
        const T* ring = call_.Ring(head_, position + t);
        Rotate<false>(ring, nullptr, 1.0f, depth_, key_row);
        Rotate<false>(ring + call_.ValueOffset(), nullptr, 1.0f, depth_, value);
      } else {
        const float* angles = head_.Angles(position + t, angles_);
        head_.template Turned<false>(head_.At(call_.in.k, t), angles, 1.0f, key_row);
        Rotate<false>(head_.ValueAt(call_.in.v, t), nullptr, 1.0f, depth_, value);
        if (t >= begin_) head_.template Turned<false>(head_.At(call_.in.q, t), angles, scale, query);
      }
    }
    TransposeToPanel(key_rows_, width_, depth_, panels_ + key * depth_);
  }

  int64_t FirstKey(int64_t query) const { return std::max(query - call_.shape.window + 1, base_ - history_); }

  void RunTile(int64_t tile, const float* queries) {
    const int64_t first = RoundDown(FirstKey(tile), kTile);
    const int64_t count = std::min(kTile, base_ + end_ - begin_ - tile);
    ScoreBand(queries, width_, panels_, first, tile + kTile, depth_, scores_, score_stride_);
    float inverse[kTile];
    for (int64_t i = 0; i < kTile; ++i) {
      const int64_t query = tile + i, n = tile + kTile - first;
      float* scores = scores_ + i * score_stride_;
      if (i >= count) {
        std::fill_n(scores, n, 0.0f);
        continue;
      }
      const int64_t t = TokenOf(query);
      head_.PrefetchInputs(call_.in, t + kLanes);
      const bool drop = call_.shape.dropout > 0;
      if (drop) dropout_.Fill(unit_, call_.shape.length, t, TokenOf(first), n, factors_);
      float largest;
      const float sum =
          Softmax(scores, n, FirstKey(query) - first, query + 1 - first, drop ? factors_ : nullptr, &largest);
      inverse[i] = 1.0f / sum;
      if (call_.log_sums != nullptr) {
        call_.log_sums[head_.SumIndex(t)] = largest * std::numbers::ln2_v<float> + std::log(sum);
      }
    }
    for (int64_t i = 0; i < count; i += kRows) {
      const int64_t from = FirstKey(tile + i), to = tile + std::min(i + kRows, count);
      ProductRows({scores_ + i * score_stride_ + (from - first), score_stride_, 1}, values_ + from * width_, width_,
                  to - from, output_ + i * width_, false);
    }
    for (int64_t i = 0; i < count; ++i) {
      Rotate<false>(output_ + i * width_, nullptr, inverse[i], depth_, head_.At(call_.out, TokenOf(tile + i)));
    }
  }

  const ForwardCall& call_;
  const Head<T> head_;
  DropoutBand dropout_;
  const int64_t unit_, begin_, end_;
  int64_t history_, base_, depth_, width_, score_stride_;
  float *panels_, *values_, *queries_, *key_rows_, *output_, *scores_, *factors_, *angles_;
};

// Appends the last tokens of the call to the ring of one head.
template <class T>
void Remember(const ForwardCall& call, int64_t unit) {
  const Head<T> head(call.shape, call.rope, unit);
  Scratch& scratch = Scratch::OfThread();
  scratch.Reserve(head.dim(), 1);
  float* angles = scratch.Take(head.dim());
  const int64_t position = call.Position(head.row());
  for (int64_t t = std::max(0, call.shape.length - call.shape.window); t < call.shape.length; ++t) {
    T* ring = call.Ring(head, position + t);
    head.template Turned<false>(head.At(call.in.k, t), head.Angles(position + t, angles), 1.0f, ring);
    Rotate<false>(head.ValueAt(call.in.v, t), nullptr, 1.0f, head.dim(), ring + call.ValueOffset());
  }
}

// The first n elements, less than a vector of them, then zeros; what stands behind them is not touched.
HWY_INLINE VF LoadFirst(DF d, const float* p, size_t n) { return hn::MaskedLoad(hn::FirstN(d, n), d, p); }
HWY_INLINE VF LoadFirst(DF d, const BFloat16* p, size_t n) {
  if constexpr (kLanes == 16) {  // below AVX-512 masks of 16 bits read everything
    const hn::Rebind<uint16_t, DF> d16;
    const auto half = hn::MaskedLoad(hn::FirstN(d16, n), d16, reinterpret_cast<const uint16_t*>(p));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(DU(), half)));
  } else {
    return LoadPartial(d, p, n);
  }
}

// out[0, n) = sum over rows i of weights[i] * rows[i], rows [count, n], 64 columns at a time.
template <class T>
HWY_INLINE void WeightedSum(const float* weights, int64_t count, const T* rows, int64_t n, float* out) {
  const DF d;
  constexpr int64_t kStrip = 4 * kLanes;
  int64_t c = 0;
  for (; c + kStrip <= n; c += kStrip) {
    VF s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t i = 0; i < count; ++i) {
      const VF w = hn::Set(d, weights[i]);
      const T* row = rows + i * n + c;
      s0 = hn::MulAdd(w, LoadF32(d, row), s0);
      s1 = hn::MulAdd(w, LoadF32(d, row + kLanes), s1);
      s2 = hn::MulAdd(w, LoadF32(d, row + 2 * kLanes), s2);
      s3 = hn::MulAdd(w, LoadF32(d, row + 3 * kLanes), s3);
    }
    hn::StoreU(s0, d, out + c);
    hn::StoreU(s1, d, out + c + kLanes);
    hn::StoreU(s2, d, out + c + 2 * kLanes);
    hn::StoreU(s3, d, out + c + 3 * kLanes);
  }
  for (; c < n; c += kLanes) {
    const auto columns = static_cast<size_t>(std::min(kLanes, n - c));
    VF s0 = hn::Zero(d);
    for (int64_t i = 0; i < count; ++i) {
      s0 = hn::MulAdd(hn::Set(d, weights[i]), LoadFirst(d, rows + i * n + c, columns), s0);
    }
    hn::BlendedStore(s0, hn::FirstN(d, columns), d, out + c);
  }
}

// One new token of one head against the ring, read where it is: the token is first written over the one that
// has just left the window, and the order of the keys does not matter.
template <class T>
void DecodeUnit(const ForwardCall& call, int64_t unit) {
  const DF d;
  const AttentionShape& shape = call.shape;
  const Head<T> head(shape, call.rope, unit);
  const int64_t dim = head.dim(), position = call.Position(head.row());
  const int64_t count = std::min<int64_t>(shape.window, position + 1);
  Remember<T>(call, unit);
  Scratch& scratch = Scratch::OfThread();
  scratch.Reserve(count + kLanes + 4 + 3 * dim, 4);
  float* scores = scratch.Take(count + kLanes + 4);
  float* query = scratch.Take(dim);
  float* output = scratch.Take(dim);
  head.template Turned<false>(head.At(call.in.q, 0), head.Angles(position, scratch.Take(dim)), QueryScale(dim), query);
  const T* keys = call.Ring(head, 0);
  const auto score = [&](int64_t i) {
    const T* key = keys + std::min(i, count - 1) * dim;
    VF sum = hn::Zero(d);
    int64_t c = 0;
    for (; c + kLanes <= dim; c += kLanes) {
      sum = hn::MulAdd(hn::LoadU(d, query + c), LoadF32(d, key + c), sum);
    }
    if (c < dim) {
      const auto rest = static_cast<size_t>(dim - c);
      sum = hn::MulAdd(LoadFirst(d, query + c, rest), LoadFirst(d, key + c, rest), sum);
    }
    return sum;
  };
  for (int64_t i = 0; i < count; i += 4) StoreSums(score(i), score(i + 1), score(i + 2), score(i + 3), scores + i);
  float largest;
  const float sum = Softmax(scores, count, 0, count, nullptr, &largest);
  WeightedSum(scores, count, keys + call.ValueOffset(), dim, output);
  Rotate<false>(output, nullptr, 1.0f / sum, dim, head.At(call.out, 0));
  if (call.log_sums != nullptr) {
    call.log_sums[head.SumIndex(0)] = largest * std::numbers::ln2_v<float> + std::log(sum);
  }
}

void Forward(const AttentionShape& shape, const Qkv& in, const AttentionState* state, const Matrix& out,
             float* log_sums, const RopeTable* rope) {
  const ForwardCall call{shape, in, state, out, log_sums, rope};
  const int64_t units = int64_t{shape.batch} * shape.heads;
  Dispatch(in.q.dtype, [&]<class T>() {
    if (call.state != nullptr && shape.length == 1) {
      // Below this many multiplications a thread is not worth waking.
      constexpr int64_t kWorthwhile = 16384;
      const int64_t per_unit = int64_t{2} * shape.window * shape.head_dim;
      ParallelBlocks(units, std::max<int64_t>(1, kWorthwhile / per_unit), [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) DecodeUnit<T>(call, unit);
      });
      return;
    }
    // Long sequences are cut, so that few heads can occupy many threads; a cut lays out W keys a second time.
    const int64_t chunk = std::max<int64_t>(256, RoundUp(int64_t{2} * std::min(shape.window, shape.length), kBlock));
    const int64_t chunks = (shape.length + chunk - 1) / chunk;
    ParallelFor(units * chunks, [&](int64_t i) {
      const int64_t begin = i % chunks * chunk;
      ForwardUnit<T>(call, i / chunks, begin, std::min<int64_t>(begin + chunk, shape.length)).Run();
    });
    if (call.state != nullptr) ParallelFor(units, [&](int64_t unit) { Remember<T>(call, unit); });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Forward);

}  // namespace

int64_t AttentionStateSize(const AttentionShape& shape, DType dtype) {
  const int64_t bytes = int64_t{2} * shape.window * shape.heads * shape.head_dim * SizeOf(dtype);
  return (bytes + static_cast<int64_t>(sizeof(float)) - 1) / static_cast<int64_t>(sizeof(float));
}

void Attention(const AttentionShape& shape, const Qkv& in, const AttentionState* state, const Matrix& out,
               float* log_sums) {
  const int64_t width = int64_t{shape.heads} * shape.head_dim, rows = int64_t{shape.batch} * shape.length;
  const int64_t value_heads = shape.value_heads == 0 ? shape.heads : shape.value_heads;
  FLASHLM_CHECK(shape.window > 0, "the attention window is {}", shape.window);
  const auto check = [&](const Matrix& m, const char* name, int64_t cols) {
    FLASHLM_CHECK(m.rows == rows && m.cols == cols && m.dtype == in.q.dtype, "{} is {} [{},{}], not {} [{},{}]", name,
                  NameOf(m.dtype), m.rows, m.cols, NameOf(in.q.dtype), rows, cols);
  };
  check(in.q, "q", width);
  check(in.k, "k", width);
  check(in.v, "v", value_heads * shape.head_dim);
  check(out, "out", width);
  FLASHLM_CHECK(state == nullptr || shape.dropout == 0, "dropout is for training, which has no state");
  const RopeTable* rope = nullptr;
  if (shape.rope != Rope::kNone) {
    int64_t start = 0;
    for (int b = 0; state != nullptr && b < shape.batch; ++b) start = std::max(start, state->position[b]);
    RopeTable& table = RopeTable::For(shape.head_dim, shape.rope, shape.rope_base);
    table.Prepare(start + shape.length);
    rope = &table;
  }
  FLASHLM_DISPATCH(Forward)(shape, in, state, out, log_sums, rope);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
