#include "kernels/ternary/ternary.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ternary/ternary.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

double SumOfMagnitudes(const float* w, size_t n) {
  const DF d;
  VF sum = hn::Zero(d);
  double rest = 0;
  ForVectors(
      n, [&](size_t i) { sum = hn::Add(sum, hn::Abs(hn::LoadU(d, w + i))); },
      [&](size_t i, size_t left) { rest += SumLanes(d, hn::Abs(LoadPartial(d, w + i, left))); });
  return rest + SumLanes(d, sum);
}

// trits = clip(round(w / divisor), -1, 1)
void RoundRow(const float* w, float divisor, size_t n, float* trits) {
  const DF d;
  const VF by = hn::Set(d, divisor), one = hn::Set(d, 1.0f);
  const auto round = [&](VF v) { return hn::Min(hn::Max(hn::Round(hn::Div(v, by)), hn::Neg(one)), one); };
  ForVectors(
      n, [&](size_t i) { hn::StoreU(round(hn::LoadU(d, w + i)), d, trits + i); },
      [&](size_t i, size_t left) { StorePartial(round(LoadPartial(d, w + i, left)), d, trits + i, left); });
}

// Integers as the destination holds them, all lanes or the first n.
template <class Q>
HWY_INLINE void StoreIntegers(VF v, DF d, Q* p, size_t n) {
  if constexpr (sizeof(Q) == 1) {
    if (n == hn::Lanes(d)) {
      const hn::Rebind<int8_t, DF> d8;
      return hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(DI(), v)), d8, p);
    }
    HWY_ALIGN float lanes[HWY_MAX_BYTES / 4] = {};
    hn::Store(v, d, lanes);
    for (size_t i = 0; i < n; ++i) p[i] = static_cast<int8_t>(lanes[i]);
  } else if (n == hn::Lanes(d)) {
    StoreF32(v, d, p);
  } else {
    StorePartial(v, d, p, n);
  }
}

template <class T, class Q>
float QuantizeRow(const T* x, size_t n, Q* q) {
  const DF d;
  VF largest = hn::Zero(d);
  ForVectors(
      n, [&](size_t i) { largest = hn::Max(largest, hn::Abs(LoadF32(d, x + i))); },
      [&](size_t i, size_t left) { largest = hn::Max(largest, hn::Abs(LoadPartial(d, x + i, left))); });
  const float max = MaxLane(d, largest);
  const VF inverse = hn::Set(d, max > 0 ? 127.0f / max : 0.0f), limit = hn::Set(d, 127.0f);
  const auto round = [&](VF v) { return hn::Min(hn::Max(hn::Round(hn::Mul(v, inverse)), hn::Neg(limit)), limit); };
  ForVectors(
      n, [&](size_t i) { StoreIntegers(round(LoadF32(d, x + i)), d, q + i, hn::Lanes(d)); },
      [&](size_t i, size_t left) { StoreIntegers(round(LoadPartial(d, x + i, left)), d, q + i, left); });
  return max / 127.0f;
}

void Quantize(const Matrix& x, const Matrix& q, float* scales) {
  WithElementType(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto run = [&](auto* q_type) {
      using Q = std::remove_pointer_t<decltype(q_type)>;
      ParallelBlocks(x.rows, 32, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          scales[r] = QuantizeRow(x.Row<T>(r), static_cast<size_t>(x.cols), q.Row<Q>(r));
        }
      });
    };
    if (q.dtype == DType::kI8) return run(static_cast<int8_t*>(nullptr));
    WithElementType(q.dtype, run);
  });
}

template <class TX, class TY>
void ScaleRow(const TX* x, float row_scale, const float* column_scales, size_t n, TY* y) {
  const DF d;
  const VF row = hn::Set(d, row_scale);
  ForVectors(
      n,
      [&](size_t i) {
        VF v = hn::Mul(LoadF32(d, x + i), row);
        if (column_scales != nullptr) v = hn::Mul(v, hn::LoadU(d, column_scales + i));
        StoreF32(v, d, y + i);
      },
      [&](size_t i, size_t left) {
        VF v = hn::Mul(LoadPartial(d, x + i, left), row);
        if (column_scales != nullptr) v = hn::Mul(v, LoadPartial(d, column_scales + i, left));
        StorePartial(v, d, y + i, left);
      });
}

void Scale(const Matrix& x, const float* row_scales, const float* column_scales, const Matrix& y) {
  WithElementType(x.dtype, [&](auto* x_type) {
    WithElementType(y.dtype, [&](auto* y_type) {
      using TX = std::remove_pointer_t<decltype(x_type)>;
      using TY = std::remove_pointer_t<decltype(y_type)>;
      ParallelBlocks(x.rows, 32, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          ScaleRow(x.Row<TX>(r), row_scales == nullptr ? 1.0f : row_scales[r], column_scales,
                   static_cast<size_t>(x.cols), y.Row<TY>(r));
        }
      });
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(SumOfMagnitudes);
HWY_EXPORT(RoundRow);
HWY_EXPORT(Quantize);
HWY_EXPORT(Scale);

double Magnitudes(const float* w, int64_t n) {
  return FLASHLM_DISPATCH(SumOfMagnitudes)(w, static_cast<size_t>(n));
}

// Summed row by row, in order: no dependence on threads.
float MeanMagnitude(const float* w, int64_t out, int64_t in) {
  double sum = 0;
  for (int64_t r = 0; r < out; ++r) sum += Magnitudes(w + r * in, in);
  return static_cast<float>(sum / static_cast<double>(out * in));
}

constexpr float kSmallestScale = 1e-5f;

}  // namespace

void Ternarize(Ternary kind, const float* w, int64_t out, int64_t in, float* trits, float* scales) {
  FLASHLM_CHECK(kind != Ternary::kNone, "a float weight has no ternary form");
  float whole = 0;
  if (kind != Ternary::kRow) {
    whole = MeanMagnitude(w, out, in);
    if (kind != Ternary::kMean) whole = std::max(whole, kSmallestScale);
  }
  ParallelBlocks(out, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      scales[r] = kind == Ternary::kRow
                      ? std::max(static_cast<float>(Magnitudes(w + r * in, in) / static_cast<double>(in)),
                                 kSmallestScale)
                      : whole;
      const float divisor = kind == Ternary::kMean ? whole + 1e-8f : scales[r];
      FLASHLM_DISPATCH(RoundRow)(w + r * in, divisor, static_cast<size_t>(in), trits + r * in);
    }
  });
}

void TernaryGradient(Ternary kind, const float* w, const float* g, int64_t out, int64_t in, float* dw) {
  if (kind != Ternary::kScaleGradient) {
    for (int64_t i = 0; i < out * in; ++i) dw[i] += g[i];
    return;
  }
  const float scale = std::max(MeanMagnitude(w, out, in), kSmallestScale);
  const auto trit = [scale](float v) { return std::clamp(std::nearbyint(v / scale), -1.0f, 1.0f); };
  double correlation = 0;
  for (int64_t i = 0; i < out * in; ++i) correlation += static_cast<double>(g[i]) * trit(w[i]);
  const float shift = static_cast<float>(correlation / static_cast<double>(out * in));
  for (int64_t i = 0; i < out * in; ++i) {
    dw[i] += scale * g[i] + (w[i] > 0 ? shift : w[i] < 0 ? -shift : 0.0f);
  }
}

void QuantizeRows(const Matrix& x, const Matrix& q, float* scales) {
  FLASHLM_DISPATCH(Quantize)(x, q, scales);
}

void WidenIntegers(const Matrix& q, const Matrix& y) {
  WithElementType(y.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    ParallelBlocks(q.rows, 32, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t c = 0; c < q.cols; ++c) y.Row<T>(r)[c] = FromFloat<T>(q.Row<int8_t>(r)[c]);
      }
    });
  });
}

void ScaleMatrix(const Matrix& x, const float* row_scales, const float* column_scales, const Matrix& y) {
  FLASHLM_DISPATCH(Scale)(x, row_scales, column_scales, y);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
