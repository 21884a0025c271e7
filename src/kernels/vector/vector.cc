#include "kernels/vector/vector.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/blocks.h"
#include "kernels/simd.h"
#include "kernels/vector/block_squares.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/vector.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"
#include "kernels/vector/max-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

void CopyMatrix(const Matrix& x, const Matrix& y) {
  Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    ForRows(y.rows, y.cols, [&](int64_t r) {
      if constexpr (std::is_same_v<TX, TY>) {
        std::memcpy(y.Row<TY>(r), x.Row<TX>(r), static_cast<size_t>(y.cols) * sizeof(TX));
      } else {
        MapRow(
            y.cols, [](VF v) { return v; }, y.Row<TY>(r), x.Row<TX>(r));
      }
    });
  });
}

void AddMatrices(const Matrix& a, const Matrix& b, const Matrix& y) {
  const auto sum = [](VF va, VF vb) { return hn::Add(va, vb); };
  Dispatch(y.dtype, b.dtype, [&]<class T, class TB>() {
    ForRows(y.rows, y.cols, [&](int64_t r) { MapRow(y.cols, sum, y.Row<T>(r), a.Row<T>(r), b.Row<TB>(r)); });
  });
}

template <class TX, class TY>
void ScaleRow(const TX* x, float row_scale, const float* column_scales, int64_t cols, TY* y) {
  const VF row = hn::Set(DF(), row_scale);
  if (column_scales == nullptr)
    return MapRow(
        cols, [=](VF v) { return hn::Mul(v, row); }, y, x);
  MapRow(
      cols, [=](VF v, VF column) { return hn::Mul(hn::Mul(v, row), column); }, y, x, column_scales);
}

void ScaleMatrix(const Matrix& x, const float* row_scales, const float* column_scales, const Matrix& y) {
  Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    ForRows(x.rows, x.cols, [&](int64_t r) {
      ScaleRow(x.Row<TX>(r), row_scales == nullptr ? 1.0f : row_scales[r], column_scales, x.cols, y.Row<TY>(r));
    });
  });
}

void WeightedSum(float a, const float* x, float b, float* y, int64_t n) {
  constexpr int64_t kBlock = 16384;
  const VF by_a = hn::Set(DF(), a), by_b = hn::Set(DF(), b);
  const auto sum = [=](VF vx, VF vy) { return hn::MulAdd(by_b, vy, hn::Mul(by_a, vx)); };
  ParallelBlocks(n, kBlock,
                 [&](int64_t begin, int64_t end) { MapRow(end - begin, sum, y + begin, x + begin, y + begin); });
}

// Squares are summed in f32 over at most 1,024 elements, i.e. 64 or fewer per lane, then in double: the error of the
// short sums is a few 1e-7, and double lanes throughout would halve the speed for nothing.
double BlockSquares(const float* x, int64_t n) {
  const DF d;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    VF even = hn::Zero(d), odd = hn::Zero(d);
    ForLanes(static_cast<size_t>(std::min<int64_t>(1024, n - begin)), [&](auto lanes, size_t i) {
      const VF v = lanes.Load(x + begin + i);
      even = hn::MulAdd(v, v, even);
      std::swap(even, odd);
    });
    total += static_cast<double>(SumLanes(d, hn::Add(even, odd)));
  }
  return total;
}

void Squares(const float* x, int64_t n, int64_t block, double* sums) {
  ParallelBlocks(n, block,
                 [&](int64_t begin, int64_t end) { sums[begin / block] = BlockSquares(x + begin, end - begin); });
}

void RowSums(const Matrix& x, float* sums, int64_t block) {
  const auto sum = [](VF to, VF from) { return hn::Add(to, from); };
  ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
    float* to = sums + begin / block * x.cols;
    std::fill(to, to + x.cols, 0.0f);
    for (int64_t r = begin; r < end; ++r) MapRow(x.cols, sum, to, to, x.Row<float>(r));
  });
}

void DotForward(const Matrix& x, const float* w, float* y) {
  const DF d;
  ForRows(x.rows, x.cols, [&](int64_t r) {
    const float* row = x.Row<float>(r);
    VF sum = hn::Zero(d);
    ForLanes(static_cast<size_t>(x.cols),
             [&](auto lanes, size_t i) { sum = hn::MulAdd(lanes.Load(row + i), lanes.Load(w + i), sum); });
    y[r] = SumLanes(d, sum);
  });
}

void DotBackward(const Matrix& x, const float* w, const float* dy, const Matrix& dx, bool accumulate, float* scratch,
                 int64_t block) {
  const DF d;
  const auto cols = static_cast<size_t>(x.cols);
  ParallelBlocks(x.rows, block, [&](int64_t begin, int64_t end) {
    float* partial = scratch + begin / block * x.cols;
    std::fill(partial, partial + cols, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x.Row<float>(r);
      float* out = dx.Row<float>(r);
      const VF upstream = hn::Set(d, dy[r]);
      ForLanes(cols, [&](auto lanes, size_t i) {
        lanes.Store(hn::MulAdd(upstream, lanes.Load(row + i), lanes.Load(partial + i)), partial + i);
        const VF old = accumulate ? lanes.Load(out + i) : hn::Zero(d);
        lanes.Store(hn::MulAdd(upstream, lanes.Load(w + i), old), out + i);
      });
    }
  });
}

int64_t IndexOfMax(const float* z, size_t n) { return IndexOf(MaxOf(z, n), z, n); }

int64_t AllIndicesFrom(float lowest, const float* z, size_t n, int32_t* indices) {
  const DF d;
  const DI di;
  static_assert(hn::MaxLanes(d) <= kIndicesSlack, "a whole vector is stored at the end");
  const VF bound = hn::Set(d, lowest);
  size_t i = 0, found = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto wanted = hn::Ge(hn::LoadU(d, z + i), bound);
    if (hn::AllFalse(d, wanted)) continue;  // nearly everywhere, where the sampler asks
    // Not CompressStore, which takes some Zen 4 a hundred cycles.
    const auto those = hn::Compress(hn::Iota(di, static_cast<int32_t>(i)), hn::RebindMask(di, wanted));
    hn::StoreU(those, di, indices + found);
    found += hn::CountTrue(d, wanted);
  }
  for (; i < n; ++i) {
    if (z[i] >= lowest) indices[found++] = static_cast<int32_t>(i);
  }
  return static_cast<int64_t>(found);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kRowBlock = 64;  // rows per partial sum

HWY_EXPORT(CopyMatrix);
HWY_EXPORT(AddMatrices);
HWY_EXPORT(ScaleMatrix);
HWY_EXPORT(WeightedSum);
HWY_EXPORT(Squares);
HWY_EXPORT(RowSums);
HWY_EXPORT(DotForward);
HWY_EXPORT(DotBackward);
HWY_EXPORT(IndexOfMax);
HWY_EXPORT(AllIndicesFrom);

}  // namespace

void Copy(const Matrix& x, const Matrix& y, bool accumulate) {
  if (accumulate) return Add(y, x, y);
  FLASHLM_DISPATCH(CopyMatrix)(x, y);
}

void Add(const Matrix& a, const Matrix& b, const Matrix& y) { FLASHLM_DISPATCH(AddMatrices)(a, b, y); }

void Scale(const Matrix& x, const float* row_scales, const float* column_scales, const Matrix& y) {
  FLASHLM_DISPATCH(ScaleMatrix)(x, row_scales, column_scales, y);
}

void Axpby(float a, const float* x, float b, float* y, int64_t n) { FLASHLM_DISPATCH(WeightedSum)(a, x, b, y, n); }

int64_t SquareBlock(int64_t n) {
  constexpr int64_t kSmallest = 16384;
  return std::max(kSmallest, (n + kMostSquareBlocks - 1) / kMostSquareBlocks);
}

void SumSquareBlocks(const float* x, int64_t n, int64_t first, int64_t last, double* sums) {
  const int64_t block = SquareBlock(n), begin = std::min(n, first * block), end = std::min(n, last * block);
  if (begin < end) FLASHLM_DISPATCH(Squares)(x + begin, end - begin, block, sums + first);
}

double SumOfSquares(const float* x, int64_t n) {
  double sums[kMostSquareBlocks] = {};  // on the stack: a training step does not touch the heap
  SumSquareBlocks(x, n, 0, kMostSquareBlocks, sums);
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

int64_t SumRowsScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kRowBlock) * cols; }

void SumRows(const Matrix& x, float* sums, float* scratch) {
  FLASHLM_DISPATCH(RowSums)(x, scratch, kRowBlock);
  AddBlocks(scratch, BlockCount(x.rows, kRowBlock), x.cols, x.cols, sums);
}

void RowDot(const Matrix& x, const float* w, float* y) { FLASHLM_DISPATCH(DotForward)(x, w, y); }

int64_t RowDotGradScratch(int64_t rows, int64_t cols) { return BlockCount(rows, kRowBlock) * cols; }

void RowDotGrad(const Matrix& x, const float* w, const float* dy, const Matrix& dx, bool accumulate, float* dw,
                float* scratch) {
  FLASHLM_DISPATCH(DotBackward)(x, w, dy, dx, accumulate, scratch, kRowBlock);
  AddBlocks(scratch, BlockCount(x.rows, kRowBlock), x.cols, x.cols, dw);
}

int64_t Argmax(const float* z, int64_t n) { return FLASHLM_DISPATCH(IndexOfMax)(z, static_cast<size_t>(n)); }

int64_t IndicesFrom(float lowest, const float* z, int64_t n, int32_t* indices) {
  return FLASHLM_DISPATCH(AllIndicesFrom)(lowest, z, static_cast<size_t>(n), indices);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
