// What the forward and the backward pass of attention share: one head of one row of the batch, its keys and
// values laid out for the tiles, its dropout. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_ATTENTION_BAND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_ATTENTION_BAND_INL_H_
#undef FLASHLM_KERNELS_ATTENTION_BAND_INL_H_
#else
#define FLASHLM_KERNELS_ATTENTION_BAND_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <numbers>

#include "hwy/cache_control.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/tiles-inl.h"
#include "kernels/dropout/philox-inl.h"
#include "kernels/rope/rope-inl.h"
#include "kernels/rope/rope.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kBlock = 32;  // tokens laid out at a time; a multiple of every target's kLanes
static_assert(kBlock % kLanes == 0);

// Queries are scaled by log2(e)/sqrt(D), so that probabilities are powers of two of the scores.
inline float QueryScale(int64_t head_dim) {
  return static_cast<float>(std::numbers::log2e / std::sqrt(static_cast<double>(head_dim)));
}

// One head of one row of the batch, tokens by their index t in the row.
template <class T>
class Head {
 public:
  Head(const AttentionShape& shape, const RopeTable* rope, int64_t unit)
      : shape_(shape),
        rope_(rope),
        row_(unit / shape.heads),
        head_(unit % shape.heads),
        value_head_(shape.value_heads == 0 ? head_ : head_ % shape.value_heads) {}

  int64_t row() const { return row_; }
  int64_t dim() const { return shape_.head_dim; }
  // Its first column in a matrix of all heads.
  int64_t column() const { return head_ * shape_.head_dim; }
  // Its vector in row t of such a matrix.
  T* At(const Matrix& m, int64_t t) const { return m.Row<T>(row_ * shape_.length + t) + column(); }
  // The vector of values that it reads.
  T* ValueAt(const Matrix& m, int64_t t) const {
    return m.Row<T>(row_ * shape_.length + t) + value_head_ * shape_.head_dim;
  }
  // Asks for a vector that will be needed in some hundred cycles. Heads stand a row of all heads apart, a
  // stride that hardware does not follow.
  void Prefetch(const Matrix& m, int64_t t) const {
    if (t < shape_.length) PrefetchVector(At(m, t));
  }
  void PrefetchInputs(const Qkv& in, int64_t t) const {
    if (t >= shape_.length) return;
    PrefetchVector(At(in.q, t));
    PrefetchVector(At(in.k, t));
    PrefetchVector(ValueAt(in.v, t));
  }
  // Turns a query or a key by `angles` (Angles); with kBack a gradient of one.
  template <bool kBack, class From, class To>
  HWY_INLINE void Turned(const From* x, const float* angles, float scale, To* y) const {
    const auto n = static_cast<size_t>(dim());
    if (shape_.rope == Rope::kInterleaved) {
      RotateInterleaved<kBack>(x, angles, scale, n, y);
    } else {
      Rotate<kBack>(x, angles, scale, n, y);
    }
  }
  const float* Angles(int64_t position, float* scratch) const {
    return rope_ == nullptr ? nullptr : rope_->Row(position, scratch);
  }
  // Index of (b, h, t) in log_sums.
  int64_t SumIndex(int64_t t) const { return (row_ * shape_.heads + head_) * shape_.length + t; }

 private:
  void PrefetchVector(const T* vector) const {
    const char* bytes = reinterpret_cast<const char*>(vector);
    for (int64_t i = 0; i < dim() * static_cast<int64_t>(sizeof(T)); i += 64) hwy::Prefetch(bytes + i);
  }

  const AttentionShape& shape_;
  const RopeTable* rope_;
  const int64_t row_, head_, value_head_;
};

// The factors, 0 or 1/(1 - p), of the probabilities of one query. The numbers of kernels/dropout come in
// groups of 64 columns of a row; a window of at most 64 keys takes only its share of one group: (query t, key
// s) is at column (t mod r) * P + s mod P of row t / r, with P >= W a power of two and r = 64 / P queries to
// a group. For W = 32 this costs a third of drawing whole groups.
class DropoutBand {
 public:
  explicit DropoutBand(const AttentionShape& shape)
      : rule_(MakeDropoutRule(shape.dropout, shape.dropout_key, shape.dropout_step)) {
    if (shape.window > kDropoutGroup) return;
    for (period_ = 16; period_ < shape.window;) period_ *= 2;
    groups_per_head_ = (shape.length + kDropoutGroup / period_ - 1) / (kDropoutGroup / period_);
  }

  // factors[i] = that of key `first` + i for query t of unit (b, h); i in [0, n), n a multiple of kTile like
  // `first`. They mean something for the keys that the query sees, and are 0 or 1/(1 - p) for all.
  void Fill(int64_t unit, int64_t length, int64_t t, int64_t first, int64_t n, float* HWY_RESTRICT factors) {
    if (period_ == 0) {
      DropoutScales(rule_, unit * length + t, first, n, factors);
      return;
    }
    const int64_t queries = kDropoutGroup / period_;
    const int64_t row = unit * groups_per_head_ + t / queries;
    if (row != drawn_row_) DropoutGroup(rule_, row, 0, group_);
    drawn_row_ = row;
    const hn::Half<DF> dh;
    const float* share = group_ + t % queries * period_;
    for (int64_t i = 0; i < n; i += kTile) {
      hn::StoreU(hn::LoadU(dh, share + (first + i) % period_), dh, factors + i);
    }
  }

 private:
  DropoutRule rule_;
  int64_t period_ = 0;  // P; 0: the window is wider than a group
  int64_t groups_per_head_ = 0;
  int64_t drawn_row_ = -1;
  HWY_ALIGN float group_[kDropoutGroup];
};

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
