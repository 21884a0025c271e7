#include "kernels/ternary/ternary.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/simd.h"
#include "kernels/vector/vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ternary/ternary.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

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

// clip(round(w / divisor), -1, 1)
HWY_INLINE VF Trit(VF w, VF divisor) {
  const VF one = hn::Set(DF(), 1.0f);
  return hn::Min(hn::Max(hn::Round(hn::Div(w, divisor)), hn::Neg(one)), one);
}

void RoundRow(const float* w, float divisor, size_t n, float* trits) {
  const VF by = hn::Set(DF(), divisor);
  ForLanes(n, [&](auto lanes, size_t i) { lanes.Store(Trit(lanes.Load(w + i), by), trits + i); });
}

template <class T, class Q>
float QuantizeRow(const T* x, int64_t n, Q* q) {
  const DF d;
  const float max = LargestMagnitude(x, static_cast<size_t>(n));
  const VF inverse = hn::Set(d, InverseScale(max));
  if constexpr (std::is_same_v<Q, int8_t>) {
    const hn::Rebind<uint8_t, DF> d8;
    ForVectors(
        static_cast<size_t>(n),
        [&](size_t i) {
          hn::StoreU(hn::TruncateTo(d8, NearestInteger(LoadF32(d, x + i), inverse)), d8,
                     reinterpret_cast<uint8_t*>(q) + i);
        },
        [&](size_t i, size_t left) {
          HWY_ALIGN uint32_t integers[HWY_MAX_BYTES / 4];
          hn::Store(NearestInteger(LoadPartial(d, x + i, left), inverse), DU(), integers);
          for (size_t k = 0; k < left; ++k) q[i + k] = static_cast<int8_t>(integers[k]);
        });
  } else {
    MapRow(
        n, [=](VF v) { return hn::Round(hn::Mul(v, inverse)); }, q, x);
  }
  return max / 127.0f;
}

void Quantize(const Matrix& x, const Matrix& q, float* scales) {
  Dispatch(x.dtype, [&]<class T>() {
    const auto run = [&]<class Q>() {
      ParallelBlocks(x.rows, 32, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) scales[r] = QuantizeRow(x.Row<T>(r), x.cols, q.Row<Q>(r));
      });
    };
    if (q.dtype == DType::kI8) return run.template operator()<int8_t>();
    Dispatch(q.dtype, run);
  });
}

// sum(g * trit(w))
double Correlation(const float* w, const float* g, float scale, size_t n) {
  const DF d;
  const VF by = hn::Set(d, scale);
  VF sum = hn::Zero(d);
  ForLanes(n, [&](auto lanes, size_t i) { sum = hn::MulAdd(lanes.Load(g + i), Trit(lanes.Load(w + i), by), sum); });
  return SumLanes(d, sum);
}

// dw += scale * g + shift * sign(w)
void AddScaleGradient(const float* w, const float* g, float scale, float shift, size_t n, float* dw) {
  const DF d;
  const VF factor = hn::Set(d, scale), up = hn::Set(d, shift), zero = hn::Zero(d);
  ForLanes(n, [&](auto lanes, size_t i) {
    const VF weight = lanes.Load(w + i);
    const VF signed_shift =
        hn::Sub(hn::IfThenElseZero(hn::Gt(weight, zero), up), hn::IfThenElseZero(hn::Lt(weight, zero), up));
    lanes.Store(hn::Add(lanes.Load(dw + i), hn::MulAdd(factor, lanes.Load(g + i), signed_shift)), dw + i);
  });
}

void Widen(const Matrix& q, const Matrix& y) {
  Dispatch(y.dtype, [&]<class T>() {
    ForRows(q.rows, q.cols, [&](int64_t r) {
      MapRow(
          q.cols, [](VF v) { return v; }, y.Row<T>(r), q.Row<int8_t>(r));
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
HWY_EXPORT(Correlation);
HWY_EXPORT(AddScaleGradient);
HWY_EXPORT(Widen);

double Magnitudes(const float* w, int64_t n) { return FLASHLM_DISPATCH(SumOfMagnitudes)(w, static_cast<size_t>(n)); }

// Sum over rows of sum_of_row(r), added in order: no dependence on threads.
template <class SumOfRow>
double SumOverRows(int64_t rows, const SumOfRow& sum_of_row) {
  thread_local std::vector<double> sums;
  sums.resize(static_cast<size_t>(rows));
  double* sum = sums.data();  // the other threads have vectors of their own
  ParallelBlocks(rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) sum[r] = sum_of_row(r);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

float MeanMagnitude(const float* w, int64_t out, int64_t in) {
  const double sum = SumOverRows(out, [&](int64_t r) { return Magnitudes(w + r * in, in); });
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
      scales[r] =
          kind == Ternary::kRow
              ? std::max(static_cast<float>(Magnitudes(w + r * in, in) / static_cast<double>(in)), kSmallestScale)
              : whole;
      const float divisor = kind == Ternary::kMean ? whole + 1e-8f : scales[r];
      FLASHLM_DISPATCH(RoundRow)(w + r * in, divisor, static_cast<size_t>(in), trits + r * in);
    }
  });
}

void TernaryGradient(Ternary kind, const float* w, const float* g, int64_t out, int64_t in, float* dw) {
  if (kind != Ternary::kScaleGradient) {
    return Copy({const_cast<float*>(g), DType::kF32, out, in, in}, {dw, DType::kF32, out, in, in}, true);
  }
  const float scale = std::max(MeanMagnitude(w, out, in), kSmallestScale);
  const double correlation = SumOverRows(out, [&](int64_t r) {
    return FLASHLM_DISPATCH(Correlation)(w + r * in, g + r * in, scale, static_cast<size_t>(in));
  });
  const float shift = static_cast<float>(correlation / static_cast<double>(out * in));
  ParallelBlocks(out, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      FLASHLM_DISPATCH(AddScaleGradient)(w + r * in, g + r * in, scale, shift, static_cast<size_t>(in), dw + r * in);
    }
  });
}

void QuantizeRows(const Matrix& x, const Matrix& q, float* scales) { FLASHLM_DISPATCH(Quantize)(x, q, scales); }

void WidenIntegers(const Matrix& q, const Matrix& y) { FLASHLM_DISPATCH(Widen)(q, y); }

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
