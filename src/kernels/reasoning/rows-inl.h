// Products of a few rows with small matrices in cache. A row's result is the same bits whatever rows it is computed
// with. Matrices are f32 with row strides that are multiples of 16. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_REASONING_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_REASONING_ROWS_INL_H_
#undef FLASHLM_KERNELS_REASONING_ROWS_INL_H_
#else
#define FLASHLM_KERNELS_REASONING_ROWS_INL_H_
#endif

#include <cmath>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Vectors of a register tile beside its four rows: 24 accumulators of AVX-512's 32, 12 of AVX2's 16.
constexpr int kWide = HWY_MAX_BYTES >= 64 ? 6 : 3;

// A list of rows: all of 0..count-1, or those that `index` names; each with a factor.
struct RowList {
  int64_t count = 0;
  const int32_t* index = nullptr;
  const float* weights = nullptr;  // null: 1
  float scale = 1;

  int64_t Row(int64_t i) const { return index == nullptr ? i : index[i]; }
  float Factor(int64_t i) const { return weights == nullptr ? scale : scale * weights[i]; }
};

template <int kCount, int kVectors>
HWY_INLINE void RowsTile(const float* const* x, const float* m, int64_t m_stride, int64_t depth, float* const* y,
                         const float* factors, bool accumulate) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF sums[kCount][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::Zero(d);
  }
  for (int64_t p = 0; p < depth; ++p) {
    VF row[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) row[v] = hn::LoadU(d, m + p * m_stride + v * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      const VF value = hn::Set(d, x[i][p]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::MulAdd(value, row[v], sums[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    const VF factor = hn::Set(d, factors[i]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      float* to = y[i] + v * lanes;
      const VF old = accumulate ? hn::LoadU(d, to) : hn::Zero(d);
      hn::StoreU(hn::MulAdd(factor, sums[i][v], old), d, to);
    }
  }
}

template <int kCount>
HWY_INLINE void RowsOf(const float* const* x, const float* m, int64_t m_stride, int64_t depth, float* const* y,
                       const float* factors, bool accumulate) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(DF()));
  float* at[kCount];
  for (int64_t c = 0; c < m_stride;) {
    for (int i = 0; i < kCount; ++i) at[i] = y[i] + c;
    if (c + kWide * lanes <= m_stride) {
      RowsTile<kCount, kWide>(x, m + c, m_stride, depth, at, factors, accumulate);
      c += kWide * lanes;
    } else {
      RowsTile<kCount, 1>(x, m + c, m_stride, depth, at, factors, accumulate);
      c += lanes;
    }
  }
}

// y[row] = or += factor * x[row] M for the rows of a list; M [depth, m_stride]. With `dense` the results go to rows
// 0, 1, ... of y instead.
HWY_INLINE void RowsProduct(const RowList& list, const float* x, int64_t x_stride, const float* m, int64_t m_stride,
                            int64_t depth, float* y, int64_t y_stride, bool accumulate, bool dense = false) {
  constexpr int kTile = 4;
  const float* from[kTile];
  float* to[kTile];
  float factors[kTile];
  for (int64_t i = 0; i < list.count; i += kTile) {
    const int64_t count = list.count - i < kTile ? list.count - i : kTile;
    for (int64_t j = 0; j < count; ++j) {
      from[j] = x + list.Row(i + j) * x_stride;
      to[j] = y + (dense ? i + j : list.Row(i + j)) * y_stride;
      factors[j] = list.Factor(i + j);
    }
    if (count == kTile) {
      RowsOf<kTile>(from, m, m_stride, depth, to, factors, accumulate);
    } else {
      for (int64_t j = 0; j < count; ++j) RowsOf<1>(from + j, m, m_stride, depth, to + j, factors + j, accumulate);
    }
  }
}

template <int kCount, int kVectors>
HWY_INLINE void OuterTile(const RowList& list, const float* dy, int64_t dy_stride, const float* x, int64_t x_stride,
                          float* dw, int64_t dw_stride) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF sums[kCount][kVectors];
#pragma GCC unroll 8
  for (int o = 0; o < kCount; ++o) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[o][v] = hn::LoadU(d, dw + o * dw_stride + v * lanes);
  }
  for (int64_t i = 0; i < list.count; ++i) {
    const float* from = x + list.Row(i) * x_stride;
    const float* upstream = dy + list.Row(i) * dy_stride;
    const float factor = list.Factor(i);
    VF row[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) row[v] = hn::LoadU(d, from + v * lanes);
#pragma GCC unroll 8
    for (int o = 0; o < kCount; ++o) {
      const VF value = hn::Set(d, factor * upstream[o]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[o][v] = hn::MulAdd(value, row[v], sums[o][v]);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < kCount; ++o) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[o][v], d, dw + o * dw_stride + v * lanes);
  }
}

template <int kCount>
HWY_INLINE void OuterOf(const RowList& list, const float* dy, int64_t dy_stride, const float* x, int64_t x_stride,
                        float* dw) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(DF()));
  for (int64_t c = 0; c < x_stride;) {
    if (c + kWide * lanes <= x_stride) {
      OuterTile<kCount, kWide>(list, dy, dy_stride, x + c, x_stride, dw + c, x_stride);
      c += kWide * lanes;
    } else {
      OuterTile<kCount, 1>(list, dy, dy_stride, x + c, x_stride, dw + c, x_stride);
      c += lanes;
    }
  }
}

// dw[o - begin] += factor * dy[row][o] * x[row] over the rows of a list, outputs begin <= o < end; rows of dw are
// x_stride apart.
HWY_INLINE void OuterProduct(const RowList& list, const float* dy, int64_t dy_stride, const float* x, int64_t x_stride,
                             int64_t begin, int64_t end, float* dw) {
  int64_t o = begin;
  for (; o + 4 <= end; o += 4) OuterOf<4>(list, dy + o, dy_stride, x, x_stride, dw + (o - begin) * x_stride);
  for (; o < end; ++o) OuterOf<1>(list, dy + o, dy_stride, x, x_stride, dw + (o - begin) * x_stride);
}

HWY_INLINE float Dot(const float* a, const float* b, int64_t n) {
  const DF d;
  VF sum = hn::Zero(d);
  ForLanes(static_cast<size_t>(n),
           [&](auto lanes, size_t i) { sum = hn::MulAdd(lanes.Load(a + i), lanes.Load(b + i), sum); });
  return SumLanes(d, sum);
}

// y += factor * x
HWY_INLINE void AddScaledRow(float factor, const float* x, int64_t n, float* y) {
  const VF by = hn::Set(DF(), factor);
  MapRow(
      n, [=](VF v, VF old) { return hn::MulAdd(by, v, old); }, y, x, y);
}

// In place, over n of the row's elements.
HWY_INLINE void SoftmaxRow(float* x, int64_t n) {
  const DF d;
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  const VF shift = hn::Set(d, largest);
  float sum = 0;
  ForVectors(
      static_cast<size_t>(n),
      [&](size_t i) {
        const VF e = Exp(d, hn::Sub(hn::LoadU(d, x + i), shift));
        hn::StoreU(e, d, x + i);
        sum += SumLanes(d, e);
      },
      [&](size_t i, size_t left) {
        StorePartial(Exp(d, hn::Sub(LoadPartial(d, x + i, left), shift)), d, x + i, left);
        for (size_t j = i; j < i + left; ++j) sum += x[j];
      });
  const float inverse = 1.0f / sum;
  for (int64_t i = 0; i < n; ++i) x[i] *= inverse;
}

// g <- y * (g - <g, y>): from the gradient of a softmax's result to that of its input.
HWY_INLINE void SoftmaxGradRow(const float* y, int64_t n, float* g) {
  const float mean = Dot(g, y, n);
  for (int64_t i = 0; i < n; ++i) g[i] = y[i] * (g[i] - mean);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
