#include "kernels/gemm/few_rows.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/few_rows.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// A panel is two vectors wide, and each output has two chains of additions, even and odd inputs or words: four
// accumulators a row, enough to read weights at full speed for one row, and few enough for six rows in 32 registers.
constexpr int64_t kVectors = 2;
constexpr int kMostRows = HWY_MAX_BYTES == 64 ? 6 : 2;

int64_t OutputsOfPanel() { return kVectors * static_cast<int64_t>(hn::Lanes(DF())); }

// The weights of two inputs, for vector v of the panel.
HWY_INLINE void LoadTwoInputs(const float* panel, int64_t v, VF& first, VF& second) {
  const DF d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  first = hn::Load(d, panel + v * lanes);
  second = hn::Load(d, panel + (kVectors + v) * lanes);
}
HWY_INLINE void LoadTwoInputs(const BFloat16* panel, int64_t v, VF& first, VF& second) {
  const DF d;
#if HWY_TARGET == HWY_SCALAR
  first = hn::Set(d, ToFloat(panel[2 * v]));
  second = hn::Set(d, ToFloat(panel[2 * v + 1]));
#else
  const DU du;
  const auto words = hn::Load(du, reinterpret_cast<const uint32_t*>(panel) + v * static_cast<int64_t>(hn::Lanes(du)));
  first = hn::BitCast(d, hn::ShiftLeft<16>(words));
  second = hn::BitCast(d, hn::And(words, hn::Set(du, 0xffff0000u)));
#endif
}

// sums[n, output of the panel] = row n of x times the panel.
template <int kRows, class TW>
HWY_INLINE void MultiplyBlock(const float* x, int64_t stride, const TW* panel, int64_t inputs, float* sums) {
  const DF d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  VF even[kRows][kVectors], odd[kRows][kVectors];
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) even[n][v] = odd[n][v] = hn::Zero(d);
  }
  for (int64_t i = 0; i < inputs; i += 2, panel += 2 * kVectors * lanes) {
    VF first[kVectors], second[kVectors];
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) LoadTwoInputs(panel, v, first[v], second[v]);
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      const VF x_even = hn::Set(d, x[n * stride + i]), x_odd = hn::Set(d, x[n * stride + i + 1]);
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) {
        even[n][v] = hn::MulAdd(first[v], x_even, even[n][v]);
        odd[n][v] = hn::MulAdd(second[v], x_odd, odd[n][v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v)
      hn::Store(hn::Add(even[n][v], odd[n][v]), d, sums + (n * kVectors + v) * lanes);
  }
}

// `count` outputs of one row, from sums to y.
template <class TY>
HWY_INLINE void StoreOutputs(const float* sums, TY* y, int64_t count, bool accumulate) {
  if (!accumulate)
    return MapRow(
        count, [](VF sum) { return sum; }, y, sums);
  MapRow(
      count, [](VF sum, VF old) { return hn::Add(old, sum); }, y, sums, y);
}

// Panels [begin, end) of the product: multiply(n, count, panel, sums) computes the sums of rows n, n + 1, ...
template <class TW, class Multiply>
HWY_INLINE void MultiplyPanels(const TW* panels, int64_t inputs, const Matrix& y, bool accumulate, int64_t begin,
                               int64_t end, const Multiply& multiply) {
  const int64_t width = OutputsOfPanel();
  HWY_ALIGN float sums[kMostRows * kVectors * HWY_MAX_BYTES / sizeof(float)];
  for (int64_t p = begin; p < end; ++p) {
    const int64_t output = p * width, outputs = std::min(width, y.cols - output);
    ForRowBlocks<kMostRows>(y.rows, [&](int64_t first, auto count) {
      multiply(first, count, panels + p * width * inputs, sums);
      Dispatch(y.dtype, [&]<class TY>() {
        for (int n = 0; n < count; ++n) {
          StoreOutputs(sums + n * width, y.Row<TY>(first + n) + output, outputs, accumulate);
        }
      });
    });
  }
}

// The rows of x in type T, continued with zeros to whole pairs of words: x itself if it is that already, else
// `scratch`.
template <class T>
const T* ArrangeRows(const Matrix& x, DType dtype, int64_t inputs, T* scratch, int64_t* stride) {
  if (x.dtype == dtype && x.cols == inputs) {
    *stride = x.stride;
    return x.Row<T>(0);
  }
  *stride = inputs;
  Dispatch(x.dtype, [&]<class TX>() {
    for (int64_t n = 0; n < x.rows; ++n) {
      T* to = scratch + n * inputs;
      MapRow(
          x.cols, [](VF v) { return v; }, to, x.Row<TX>(n));
      std::fill(to + x.cols, to + inputs, T{});
    }
  });
  return scratch;
}

#if HWY_TARGET == HWY_AVX3
// MultiplyBlock with the CPU's bf16 products, two a lane at once, which Highway 1.0 does not offer.
template <int kRows>
__attribute__((target("avx512bf16"))) void DotBlock(const BFloat16* x, int64_t stride, const BFloat16* panel,
                                                    int64_t inputs, float* sums) {
  constexpr int64_t kVector = 32;  // bf16 of a vector
  __m512 even[kRows][kVectors], odd[kRows][kVectors];
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) even[n][v] = odd[n][v] = _mm512_setzero_ps();
  }
  for (int64_t i = 0; i < inputs; i += 4, panel += 2 * kVectors * kVector) {
    __m512bh first[kVectors], second[kVectors];
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) {
      first[v] = reinterpret_cast<__m512bh>(_mm512_load_si512(panel + v * kVector));
      second[v] = reinterpret_cast<__m512bh>(_mm512_load_si512(panel + (kVectors + v) * kVector));
    }
#pragma GCC unroll 6
    for (int n = 0; n < kRows; ++n) {
      const BFloat16* words = x + n * stride + i;
      const auto x_even = reinterpret_cast<__m512bh>(_mm512_broadcastd_epi32(_mm_loadu_si32(words)));
      const auto x_odd = reinterpret_cast<__m512bh>(_mm512_broadcastd_epi32(_mm_loadu_si32(words + 2)));
#pragma GCC unroll 2
      for (int64_t v = 0; v < kVectors; ++v) {
        even[n][v] = _mm512_dpbf16_ps(even[n][v], x_even, first[v]);
        odd[n][v] = _mm512_dpbf16_ps(odd[n][v], x_odd, second[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int n = 0; n < kRows; ++n) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kVectors; ++v) {
      _mm512_store_ps(sums + (n * kVectors + v) * 16, _mm512_add_ps(even[n][v], odd[n][v]));
    }
  }
}
#endif

void Multiply(const Matrix& x, const void* panels, DType dtype, const Matrix& y, bool accumulate, void* scratch,
              int64_t begin, int64_t end, [[maybe_unused]] bool native_bf16) {
  const int64_t inputs = PaddedInputs(x.cols, dtype);
  int64_t stride = 0;
#if HWY_TARGET == HWY_AVX3
  if (native_bf16 && dtype == DType::kBF16 && x.dtype == DType::kBF16) {
    const BFloat16* rows = ArrangeRows(x, dtype, inputs, static_cast<BFloat16*>(scratch), &stride);
    return MultiplyPanels(static_cast<const BFloat16*>(panels), inputs, y, accumulate, begin, end,
                          [&](int64_t n, auto count, const BFloat16* panel, float* sums) {
                            DotBlock<count>(rows + n * stride, stride, panel, inputs, sums);
                          });
  }
#endif
  const float* rows = ArrangeRows(x, DType::kF32, inputs, static_cast<float*>(scratch), &stride);
  Dispatch(dtype, [&]<class TW>() {
    MultiplyPanels(static_cast<const TW*>(panels), inputs, y, accumulate, begin, end,
                   [&](int64_t n, auto count, const TW* panel, float* sums)
                       HWY_ATTR { MultiplyBlock<count>(rows + n * stride, stride, panel, inputs, sums); });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(OutputsOfPanel);
HWY_EXPORT(Multiply);

}  // namespace

int64_t PanelOutputs() { return FLASHLM_DISPATCH(OutputsOfPanel)(); }

void FewRowsProduct(const Matrix& x, const Panels& w, const Matrix& y, bool accumulate) {
  constexpr int64_t kWorthAThread = 32 * int64_t{1024};  // weights
  ParallelShares(w.count(), WorthThreads(x.rows, w.out() * w.in(), kWorthAThread), [&](int64_t begin, int64_t end) {
    // Each thread arranges x for itself: waiting for another's copy takes as long.
    thread_local Buffer arranged;
    void* scratch = arranged.AtLeast(static_cast<size_t>(x.rows * PaddedInputs(x.cols, DType::kBF16)) * sizeof(float));
    FLASHLM_DISPATCH(Multiply)(x, w.data(), w.dtype(), y, accumulate, scratch, begin, end, HasNativeBf16());
  });
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
