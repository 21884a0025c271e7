#include "base/error.h"
#include "base/parallel.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_grad.cc"
#include "hwy/foreach_target.h"
#include "kernels/attention/band-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// The backward pass of FlashAttention (Dao et al., 2022) on a band. With probabilities P, dropout factors M
// and delta[t] = <dout[t], out[t]>:
//   dV = (P*M)^T dO     dS = P * (M * (dO V^T) - delta)     dQ = dS K / sqrt(D)     dK = dS^T Q / sqrt(D)
// P is computed again from the scores and the forward pass's log_sums, kBlock queries by kKeys keys at a
// time. Both tiles (8 KiB each) share the first-level cache with the rows they multiply; 128 keys were 1-2 %
// slower.
constexpr int64_t kKeys = 64;

struct BackwardCall {
  const AttentionShape& shape;
  const Qkv& in;
  const Matrix& out;
  const float* log_sums;
  const Matrix& dout;
  const Qkv& din;
  const RopeTable* rope;
};

// All of one head of one row of the batch, so that each sum has one owner and one order.
template <class T>
class BackwardUnit {
 public:
  BackwardUnit(const BackwardCall& call, int64_t unit)
      : call_(call),
        head_(call.shape, call.rope, unit),
        dropout_(call.shape),
        unit_(unit),
        length_(call.shape.length),
        window_(std::min(call.shape.window, call.shape.length)),
        depth_(call.shape.head_dim),
        width_(RoundUp(depth_, kLanes)) {
    const int64_t keys = RoundUp(length_, kBlock);
    Scratch& scratch = Scratch::OfThread();
    scratch.Reserve(keys * (2 * depth_ + 3 * width_) + 4 * kBlock * width_ + (2 * kBlock + 1) * kStride + depth_, 16);
    key_panels_ = scratch.Take(keys * depth_);
    value_panels_ = scratch.Take(keys * depth_);
    keys_ = scratch.Take(keys * width_);
    dkeys_ = scratch.Take(keys * width_);
    dvalues_ = scratch.Take(keys * width_);
    queries_ = scratch.Take(kBlock * width_);
    values_ = scratch.Take(kBlock * width_);
    douts_ = scratch.Take(kBlock * width_);
    dqueries_ = scratch.Take(kBlock * width_);
    probabilities_ = scratch.Take(kBlock * kStride);
    dscores_ = scratch.Take(kBlock * kStride);
    factors_ = scratch.Take(kStride);
    angles_ = scratch.Take(depth_);
  }

  void Run() {
    int64_t stored = 0;
    for (int64_t block = 0; block < length_; block += kBlock) {
      LoadBlock(block);
      const int64_t end = std::min(block + kBlock, length_);
      const int64_t first = RoundDown(FirstKey(block), kLanes);
      for (int64_t key = first; key < block + kBlock; key += kKeys) {
        RunKeys(block, key, std::min(key + kKeys, block + kBlock), key == first);
      }
      StoreQueries(block, end);
      for (; stored + window_ <= end; ++stored) StoreKey(stored);
    }
    for (; stored < length_; ++stored) StoreKey(stored);
  }

 private:
  static constexpr int64_t kStride = kKeys + kLanes;

  int64_t FirstKey(int64_t query) const { return std::max<int64_t>(0, query - window_ + 1); }

  // Lays out everything of tokens [block, block + kBlock); zeros stand for those after the end.
  void LoadBlock(int64_t block) {
    const int64_t count = std::min(kBlock, length_ - block);
    if (count < kBlock) {
      const int64_t missing = (kBlock - count) * width_;
      std::fill_n(queries_ + count * width_, missing, 0.0f);
      std::fill_n(values_ + count * width_, missing, 0.0f);
      std::fill_n(douts_ + count * width_, missing, 0.0f);
      std::fill_n(keys_ + (block + count) * width_, missing, 0.0f);
    }
    const float scale = QueryScale(depth_);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t t = block + i;
      const float* angles = head_.Angles(t, angles_);
      head_.PrefetchInputs(call_.in, t + kBlock);
      head_.Prefetch(call_.dout, t + kBlock);
      head_.Prefetch(call_.out, t + kBlock);
      head_.template Turned<false>(head_.At(call_.in.q, t), angles, scale, queries_ + i * width_);
      head_.template Turned<false>(head_.At(call_.in.k, t), angles, 1.0f, keys_ + t * width_);
      Rotate<false>(head_.ValueAt(call_.in.v, t), nullptr, 1.0f, depth_, values_ + i * width_);
      delta_[i] = LoadGradient(head_.At(call_.dout, t), head_.At(call_.out, t), douts_ + i * width_);
      log_sums_[i] = call_.log_sums[head_.SumIndex(t)] * std::numbers::log2e_v<float>;
    }
    for (int64_t i = 0; i < kBlock; i += kLanes) {
      TransposeToPanel(keys_ + (block + i) * width_, width_, depth_, key_panels_ + (block + i) * depth_);
      TransposeToPanel(values_ + i * width_, width_, depth_, value_panels_ + (block + i) * depth_);
    }
  }

  // Converts a row of dout; returns <dout, out>.
  float LoadGradient(const T* dout, const T* out, float* to) const {
    const DF d;
    VF sum = hn::Zero(d);
    ForLanes(depth_, [&](auto lanes, size_t i) {
      const VF g = lanes.Load(dout + i);
      sum = hn::MulAdd(g, lanes.Load(out + i), sum);
      lanes.Store(g, to + i);
    });
    return SumLanes(d, sum);
  }

  // What keys [begin, end) and the queries of the block do to each other. Sums begin, where others go on,
  // with the first keys of the block for dQ and with the first queries of the key, its own block's, for dK
  // and dV.
  void RunKeys(int64_t block, int64_t begin, int64_t end, bool first_keys) {
    for (int64_t tile = 0; tile < kBlock; tile += kTile) {
      const int64_t query = block + tile;
      const int64_t first = std::max(begin, RoundDown(FirstKey(query), kTile)), last = std::min(end, query + kTile);
      if (first >= last) continue;
      float* p = probabilities_ + tile * kStride + (first - begin);
      float* ds = dscores_ + tile * kStride + (first - begin);
      ScoreBand(queries_ + tile * width_, width_, key_panels_, first, last, depth_, p, kStride);
      ScoreBand(douts_ + tile * width_, width_, value_panels_, first, last, depth_, ds, kStride);
      for (int64_t i = 0; i < kTile; ++i)
        SoftmaxGrad(tile + i, query + i, first, last, p + i * kStride, ds + i * kStride);
    }
    for (int64_t i = 0; i < kBlock; i += kRows) {
      const int64_t from = std::max(begin, FirstKey(block + i)), to = std::min({end, block + i + kRows, length_});
      ProductRows({dscores_ + i * kStride + (from - begin), kStride, 1}, keys_ + from * width_, width_, to - from,
                  dqueries_ + i * width_, !first_keys);
    }
    for (int64_t key = begin; key < end; key += kRows) {
      const int64_t from = std::max(block, key), to = std::min({block + kBlock, key + kRows - 1 + window_, length_});
      const bool seen_before = key < block;
      const int64_t at = (from - block) * kStride + (key - begin);
      ProductRows({dscores_ + at, 1, kStride}, queries_ + (from - block) * width_, width_, to - from,
                  dkeys_ + key * width_, seen_before);
      ProductRows({probabilities_ + at, 1, kStride}, douts_ + (from - block) * width_, width_, to - from,
                  dvalues_ + key * width_, seen_before);
    }
  }

  // Turns a row of scores p into probabilities times dropout factors, and of <dout, value> into the scores'
  // gradient; zeros where the query sees nothing.
  HWY_INLINE void SoftmaxGrad(int64_t i, int64_t query, int64_t first, int64_t last, float* p, float* ds) {
    const DF d;
    const int64_t n = last - first;
    const SeenLanes seen_lanes(FirstKey(query) - first, query < length_ ? std::min(query + 1, last) - first : 0);
    const bool drop = call_.shape.dropout > 0;
    if (drop) dropout_.Fill(unit_, length_, query, first, n, factors_);
    const VF log_sum = hn::Set(d, log_sums_[i]), delta = hn::Set(d, delta_[i]);
    for (int64_t j = 0; j < n; j += kLanes) {
      const auto seen = seen_lanes.At(j);
      // Rounding can take a score above its row's log_sum by an ulp; Exp2 bears that.
      const VF probability = Exp2(d, hn::Sub(hn::LoadU(d, p + j), log_sum));
      const VF factor = drop ? hn::LoadU(d, factors_ + j) : hn::Set(d, 1.0f);
      const VF dprobability = hn::MulSub(factor, hn::LoadU(d, ds + j), delta);
      hn::StoreU(hn::IfThenElseZero(seen, hn::Mul(probability, factor)), d, p + j);
      hn::StoreU(hn::IfThenElseZero(seen, hn::Mul(probability, dprobability)), d, ds + j);
    }
  }

  void StoreQueries(int64_t begin, int64_t end) {
    const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(depth_)));
    for (int64_t t = begin; t < end; ++t) {
      head_.template Turned<true>(dqueries_ + (t - begin) * width_, head_.Angles(t, angles_), scale,
                                  head_.At(call_.din.q, t));
    }
  }

  void StoreKey(int64_t t) {
    // The queries it was summed from carry log2(e)/sqrt(D).
    head_.template Turned<true>(dkeys_ + t * width_, head_.Angles(t, angles_), std::numbers::ln2_v<float>,
                                head_.At(call_.din.k, t));
    Rotate<true>(dvalues_ + t * width_, nullptr, 1.0f, depth_, head_.At(call_.din.v, t));
  }

  const BackwardCall& call_;
  const Head<T> head_;
  DropoutBand dropout_;
  const int64_t unit_, length_, window_, depth_, width_;
  float *key_panels_, *value_panels_, *keys_, *dkeys_, *dvalues_;              // of all tokens
  float *queries_, *values_, *douts_, *dqueries_, *probabilities_, *dscores_;  // of the block
  float *factors_, *angles_;
  float delta_[kBlock], log_sums_[kBlock];
};

void Backward(const AttentionShape& shape, const Qkv& in, const Matrix& out, const float* log_sums, const Matrix& dout,
              const Qkv& din, const RopeTable* rope) {
  const BackwardCall call{shape, in, out, log_sums, dout, din, rope};
  Dispatch(in.q.dtype, [&]<class T>() {
    ParallelFor(int64_t{shape.batch} * shape.heads, [&](int64_t unit) { BackwardUnit<T>(call, unit).Run(); });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Backward);

}  // namespace

void AttentionGrad(const AttentionShape& shape, const Qkv& in, const Matrix& out, const float* log_sums,
                   const Matrix& dout, const Qkv& din) {
  const int64_t width = int64_t{shape.heads} * shape.head_dim, rows = int64_t{shape.batch} * shape.length;
  const auto check = [&](const Matrix& m, const char* name, int64_t cols) {
    FLASHLM_CHECK(m.rows == rows && m.cols >= cols && m.dtype == in.q.dtype, "{} is {} [{},{}], not {} [{},{}]", name,
                  NameOf(m.dtype), m.rows, m.cols, NameOf(in.q.dtype), rows, cols);
  };
  check(in.q, "q", width);
  check(din.q, "dq", width);
  check(din.k, "dk", width);
  check(din.v, "dv", width);
  check(out, "out", width);
  check(dout, "dout", width);
  FLASHLM_CHECK(log_sums != nullptr, "the gradient needs the log_sums of the forward pass");
  RopeTable* rope = shape.rope != Rope::kNone ? &RopeTable::For(shape.head_dim, shape.rope, shape.rope_base) : nullptr;
  if (rope != nullptr) rope->Prepare(shape.length);
  FLASHLM_DISPATCH(Backward)(shape, in, out, log_sums, dout, din, rope);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
