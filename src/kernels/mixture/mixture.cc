#include "kernels/mixture/mixture.h"

#include <algorithm>
#include <cmath>

#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/mixture/mixture.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// A softmax of two is a sigmoid of the difference.
template <class T>
float FirstShare(const T* logits) {
  return 1 / (1 + std::exp(ToFloat(logits[1]) - ToFloat(logits[0])));
}

void MixtureForward(const Matrix& x, const Matrix& logits, const Matrix& a, const Matrix& b, const Matrix& y) {
  const DF d;
  Dispatch(a.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      const VF share = hn::Set(d, FirstShare(logits.Row<T>(r)));
      const float* from = x.Row<float>(r);
      const T *first = a.Row<T>(r), *second = b.Row<T>(r);
      float* to = y.Row<float>(r);
      ForLanes(static_cast<size_t>(x.cols), [&](auto lanes, size_t i) {
        const VF other = lanes.Load(second + i);
        const VF mixed = hn::MulAdd(share, hn::Sub(lanes.Load(first + i), other), other);
        lanes.Store(hn::Add(lanes.Load(from + i), mixed), to + i);
      });
    });
  });
}

void MixtureBackward(const Matrix& logits, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dlogits,
                     const Matrix& da, const Matrix& db) {
  const DF d;
  Dispatch(a.dtype, [&]<class T>() {
    ForRows(dy.rows, dy.cols, [&](int64_t r) {
      const float share = FirstShare(logits.Row<T>(r));
      const VF to_first = hn::Set(d, share), to_second = hn::Set(d, 1 - share);
      const float* upstream = dy.Row<float>(r);
      const T *first = a.Row<T>(r), *second = b.Row<T>(r);
      T *dfirst = da.Row<T>(r), *dsecond = db.Row<T>(r);
      VF dot = hn::Zero(d);
      ForLanes(static_cast<size_t>(dy.cols), [&](auto lanes, size_t i) {
        const VF g = lanes.Load(upstream + i);
        dot = hn::MulAdd(g, hn::Sub(lanes.Load(first + i), lanes.Load(second + i)), dot);
        lanes.Store(hn::Mul(to_first, g), dfirst + i);
        lanes.Store(hn::Mul(to_second, g), dsecond + i);
      });
      const float slope = share * (1 - share) * SumLanes(d, dot);
      dlogits.Row<T>(r)[0] = FromFloat<T>(slope);
      dlogits.Row<T>(r)[1] = FromFloat<T>(-slope);
    });
  });
}

template <class T>
float Dot(const T* x, const float* slot, size_t cols) {
  const DF d;
  VF sum = hn::Zero(d);
  ForLanes(cols, [&](auto lanes, size_t i) { sum = hn::MulAdd(lanes.Load(x + i), lanes.Load(slot + i), sum); });
  return SumLanes(d, sum);
}

void Softmax(float* logits, int64_t count) {
  const float largest = *std::max_element(logits, logits + count);
  float total = 0;
  for (int64_t s = 0; s < count; ++s) total += logits[s] = std::exp(logits[s] - largest);
  for (int64_t s = 0; s < count; ++s) logits[s] /= total;
}

void SlotForward(const Matrix& x, const Matrix& query, const float* slots, int64_t count, const Matrix& y,
                 float* weights) {
  const DF d;
  const auto cols = static_cast<size_t>(x.cols);
  const float scale = 1 / std::sqrt(static_cast<float>(cols));
  Dispatch(query.dtype, [&]<class T>() {
    ForRows(x.rows, x.cols * count, [&](int64_t r) {
      float* w = weights + r * count;
      for (int64_t s = 0; s < count; ++s) w[s] = scale * Dot(query.Row<T>(r), slots + s * x.cols, cols);
      Softmax(w, count);
      const float* from = x.Row<float>(r);
      T* to = y.Row<T>(r);
      ForLanes(cols, [&](auto lanes, size_t i) {
        lanes.Store(lanes.Load(from + i), to + i);
        VF read = hn::Zero(d);
        for (int64_t s = 0; s < count; ++s) {
          read = hn::MulAdd(hn::Set(d, w[s]), lanes.Load(slots + s * x.cols + i), read);
        }
        lanes.Store(read, to + cols + i);
      });
    });
  });
}

// With g = dL/dm: dl_s = w_s (g . slot_s - sum_z w_z g . slot_z); dslot_s += w_s g + dl_s query / sqrt(C). `partial`
// holds the block's dslots [S,C] and, behind, room for S numbers.
void SlotBackward(const Matrix& query, const float* slots, int64_t count, const float* weights, const Matrix& dy,
                  const Matrix& dx, bool accumulate, const Matrix& dquery, float* scratch, int64_t block) {
  const DF d;
  const int64_t width = query.cols;
  const auto cols = static_cast<size_t>(width);
  const float scale = 1 / std::sqrt(static_cast<float>(cols));
  Dispatch(query.dtype, [&]<class T>() {
    ParallelBlocks(query.rows, block, [&](int64_t begin, int64_t end) {
      float* partial = scratch + begin / block * count * (width + 1);
      float* dl = partial + count * width;
      std::fill(partial, dl, 0.0f);
      for (int64_t r = begin; r < end; ++r) {
        const T *direct = dy.Row<T>(r), *upstream = direct + width, *asked = query.Row<T>(r);
        const float* w = weights + r * count;
        float mean = 0;
        for (int64_t s = 0; s < count; ++s) mean += w[s] * (dl[s] = Dot(upstream, slots + s * width, cols));
        for (int64_t s = 0; s < count; ++s) dl[s] = scale * w[s] * (dl[s] - mean);
        float* to_x = dx.Row<float>(r);
        T* to_query = dquery.Row<T>(r);
        ForLanes(cols, [&](auto lanes, size_t i) {
          const VF g = lanes.Load(upstream + i), q = lanes.Load(asked + i), here = lanes.Load(direct + i);
          lanes.Store(accumulate ? hn::Add(here, lanes.Load(to_x + i)) : here, to_x + i);
          VF sum = hn::Zero(d);
          for (int64_t s = 0; s < count; ++s) {
            const VF dlogit = hn::Set(d, dl[s]);
            sum = hn::MulAdd(dlogit, lanes.Load(slots + s * width + i), sum);
            float* to = partial + s * width + i;
            lanes.Store(hn::MulAdd(hn::Set(d, w[s]), g, hn::MulAdd(dlogit, q, lanes.Load(to))), to);
          }
          lanes.Store(sum, to_query + i);
        });
      }
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the slots' gradient

HWY_EXPORT(MixtureForward);
HWY_EXPORT(MixtureBackward);
HWY_EXPORT(SlotForward);
HWY_EXPORT(SlotBackward);

}  // namespace

void AddMixture(const Matrix& x, const Matrix& logits, const Matrix& a, const Matrix& b, const Matrix& y) {
  FLASHLM_DISPATCH(MixtureForward)(x, logits, a, b, y);
}

void AddMixtureGrad(const Matrix& logits, const Matrix& a, const Matrix& b, const Matrix& dy, const Matrix& dlogits,
                    const Matrix& da, const Matrix& db) {
  FLASHLM_DISPATCH(MixtureBackward)(logits, a, b, dy, dlogits, da, db);
}

void SlotRead(const Matrix& x, const Matrix& query, const float* slots, int64_t count, const Matrix& y,
              float* weights) {
  FLASHLM_DISPATCH(SlotForward)(x, query, slots, count, y, weights);
}

int64_t SlotReadGradScratch(int64_t rows, int64_t cols, int64_t count) {
  return BlockCount(rows, kGradBlock) * count * (cols + 1);
}

void SlotReadGrad(const Matrix& query, const float* slots, int64_t count, const float* weights, const Matrix& dy,
                  const Matrix& dx, bool accumulate, const Matrix& dquery, float* dslots, float* scratch) {
  FLASHLM_DISPATCH(SlotBackward)
  (query, slots, count, weights, dy, dx, accumulate, dquery, scratch, kGradBlock);
  const int64_t size = count * query.cols;
  AddBlocks(scratch, BlockCount(query.rows, kGradBlock), size + count, size, dslots);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
