// Products, triangular solves and transposes of the small matrices of a chunk, all in cache. Rows, columns
// and depth are multiples of 16 (kDeltaAlign); matrices are row-major. What is written is scratch, aligned to
// 64 bytes; what is only read may be the caller's. Included inside kernel files only.
#if defined(FLASHLM_KERNELS_DELTA_MATRIX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_DELTA_MATRIX_INL_H_
#undef FLASHLM_KERNELS_DELTA_MATRIX_INL_H_
#else
#define FLASHLM_KERNELS_DELTA_MATRIX_INL_H_
#endif

#include <algorithm>
#include <cstddef>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// Rows of a register tile: with two vectors per row and one operand broadcast, 8 rows fill the 32 registers
// of AVX-512 and 4 rows the 16 of AVX2.
constexpr size_t kTileRows = HWY_MAX_BYTES >= 64 ? 8 : 4;

template <size_t kVecs>
using Tile = VF[kTileRows][kVecs];

template <size_t kVecs>
HWY_INLINE void SetZero(Tile<kVecs>& acc) {
#pragma GCC unroll 8
  for (size_t i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
    for (size_t j = 0; j < kVecs; ++j) acc[i][j] = hn::Zero(DF());
  }
}

// acc += A[0..kTileRows, begin..end) B[begin..end, 0..kVecs vectors).
// With kTransposed, A(i, p) is a[p * lda + i].
template <bool kTransposed, size_t kVecs>
HWY_INLINE void AddProduct(Tile<kVecs>& acc, const float* a, size_t lda, const float* b, size_t ldb, size_t begin,
                           size_t end) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t p = begin; p < end; ++p) {
    VF row[kVecs];
#pragma GCC unroll 2
    for (size_t j = 0; j < kVecs; ++j) row[j] = hn::LoadU(d, b + p * ldb + j * lanes);
#pragma GCC unroll 8
    for (size_t i = 0; i < kTileRows; ++i) {
      const VF x = hn::Set(d, kTransposed ? a[p * lda + i] : a[i * lda + p]);
#pragma GCC unroll 2
      for (size_t j = 0; j < kVecs; ++j) acc[i][j] = hn::MulAdd(x, row[j], acc[i][j]);
    }
  }
}

// What is known to be zero in A, or not wanted of the result (kLowerResult: columns after the row).
enum class Part { kAll, kLower, kUpper, kLowerResult };

template <Part kPart, bool kTransposed, size_t kVecs, class Store>
HWY_INLINE void ProductTile(size_t i, size_t j, size_t depth, const float* a, size_t lda, const float* b, size_t ldb,
                            const Store& store) {
  Tile<kVecs> acc;
  SetZero<kVecs>(acc);
  AddProduct<kTransposed, kVecs>(acc, a + (kTransposed ? i : i * lda), lda, b + j, ldb, kPart == Part::kUpper ? i : 0,
                                 kPart == Part::kLower ? i + kTileRows : depth);
#pragma GCC unroll 8
  for (size_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVecs; ++v) store(i + r, j + v * hn::Lanes(DF()), acc[r][v]);
  }
}

// Calls store(i, j, v) with every vector v = (A B)(i, j..) of the product of A [rows, depth] and
// B [depth, cols]. With kTransposed, A is given as its transpose [depth, rows].
template <Part kPart, bool kTransposed, class Store>
HWY_INLINE void Product(size_t rows, size_t cols, size_t depth, const float* a, size_t lda, const float* b, size_t ldb,
                        const Store& store) {
  const size_t lanes = hn::Lanes(DF());
  for (size_t i = 0; i < rows; i += kTileRows) {
    const size_t end = kPart == Part::kLowerResult ? std::min(cols, (i + kTileRows + lanes - 1) / lanes * lanes) : cols;
    size_t j = 0;
    for (; j + 2 * lanes <= end; j += 2 * lanes) {
      ProductTile<kPart, kTransposed, 2>(i, j, depth, a, lda, b, ldb, store);
    }
    if (j < end) ProductTile<kPart, kTransposed, 1>(i, j, depth, a, lda, b, ldb, store);
  }
}

// Where the result of a product goes.
HWY_INLINE auto SetTo(float* c, size_t ldc) {
  return [=](size_t i, size_t j, VF v) { hn::Store(v, DF(), c + i * ldc + j); };
}
HWY_INLINE auto AddTo(float* c, size_t ldc) {
  return [=](size_t i, size_t j, VF v) {
    float* to = c + i * ldc + j;
    hn::Store(hn::Add(hn::Load(DF(), to), v), DF(), to);
  };
}
HWY_INLINE auto SubtractFrom(float* c, size_t ldc) {
  return [=](size_t i, size_t j, VF v) {
    float* to = c + i * ldc + j;
    hn::Store(hn::Sub(hn::Load(DF(), to), v), DF(), to);
  };
}

// One block of kTileRows rows of a triangular solve: what the solved rows take away is a product, the rest
// happens in registers. kTransposed: the matrix is L^T, the blocks run upwards.
template <bool kTransposed, size_t kVecs>
HWY_INLINE void SolveTile(size_t i, size_t n, const float* l, size_t ldl, float* x, size_t ldx) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  Tile<kVecs> acc;
  SetZero<kVecs>(acc);
  AddProduct<kTransposed, kVecs>(acc, l + (kTransposed ? i : i * ldl), ldl, x, ldx, kTransposed ? i + kTileRows : 0,
                                 kTransposed ? n : i);
#pragma GCC unroll 8
  for (size_t step = 0; step < kTileRows; ++step) {
    const size_t r = kTransposed ? kTileRows - 1 - step : step;
#pragma GCC unroll 2
    for (size_t v = 0; v < kVecs; ++v) {
      float* to = x + (i + r) * ldx + v * lanes;
      acc[r][v] = hn::Sub(hn::Load(d, to), acc[r][v]);
#pragma GCC unroll 8
      for (size_t before = 0; before < step; ++before) {
        const size_t s = kTransposed ? kTileRows - 1 - before : before;
        const VF factor = hn::Set(d, kTransposed ? l[(i + s) * ldl + i + r] : l[(i + r) * ldl + i + s]);
        acc[r][v] = hn::NegMulAdd(factor, acc[s][v], acc[r][v]);
      }
      hn::Store(acc[r][v], d, to);
    }
  }
}

// x <- (I + L)^{-1} x, or (I + L^T)^{-1} x. L [n, n] is strictly lower triangular: nothing else of it is
// read.
template <bool kTransposed>
HWY_INLINE void SolveUnitTriangular(size_t n, size_t cols, const float* l, size_t ldl, float* x, size_t ldx) {
  const size_t lanes = hn::Lanes(DF());
  for (size_t block = 0; block < n; block += kTileRows) {
    const size_t i = kTransposed ? n - kTileRows - block : block;
    size_t j = 0;
    for (; j + 2 * lanes <= cols; j += 2 * lanes) SolveTile<kTransposed, 2>(i, n, l, ldl, x + j, ldx);
    if (j < cols) SolveTile<kTransposed, 1>(i, n, l, ldl, x + j, ldx);
  }
}

// out [cols, rows] = the transpose of in [rows, cols], in blocks of 4 x 4.
HWY_INLINE void Transpose(size_t rows, size_t cols, const float* in, float* out) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) out[j * rows + i] = in[i * cols + j];
  }
#else
  const hn::CappedTag<float, 4> d4;
  const hn::Repartition<double, decltype(d4)> d2;
  for (size_t i = 0; i < rows; i += 4) {
    for (size_t j = 0; j < cols; j += 4) {
      const float* from = in + i * cols + j;
      const auto r0 = hn::LoadU(d4, from), r1 = hn::LoadU(d4, from + cols);
      const auto r2 = hn::LoadU(d4, from + 2 * cols), r3 = hn::LoadU(d4, from + 3 * cols);
      const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));
      const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
      const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
      const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
      float* to = out + j * rows + i;
      hn::Store(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, to);
      hn::Store(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4, to + rows);
      hn::Store(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4, to + 2 * rows);
      hn::Store(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4, to + 3 * rows);
    }
  }
#endif
}

#if HWY_TARGET != HWY_SCALAR
template <class D>
HWY_INLINE hn::Vec<hn::CappedTag<float, 4>> SumBlocks(D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(d) <= 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return SumBlocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
#endif

// out[r] = the sum of the lanes of v[r]: four at once cost little more than one.
HWY_INLINE void StoreSums(const VF (&v)[4], float* out) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t r = 0; r < 4; ++r) out[r] = hn::GetLane(v[r]);
#else
  const DF d;
  const hn::Repartition<double, DF> d2;
  const auto pairs = [&](VF a, VF b) {
    return hn::BitCast(d2, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  };
  const auto v01 = pairs(v[0], v[1]), v23 = pairs(v[2], v[3]);
  const VF sums =
      hn::Add(hn::BitCast(d, hn::InterleaveLower(d2, v01, v23)), hn::BitCast(d, hn::InterleaveUpper(d2, v01, v23)));
  hn::Store(SumBlocks(d, sums), hn::CappedTag<float, 4>(), out);
#endif
}

// out[i] = <row i of a, row i of b>.
HWY_INLINE void RowDots(size_t rows, size_t cols, const float* a, const float* b, float* out) {
  const DF d;
  for (size_t i = 0; i < rows; i += 4) {
    VF sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    for (size_t j = 0; j < cols; j += hn::Lanes(d)) {
#pragma GCC unroll 4
      for (size_t r = 0; r < 4; ++r) {
        const size_t at = (i + r) * cols + j;
        sum[r] = hn::MulAdd(hn::Load(d, a + at), hn::Load(d, b + at), sum[r]);
      }
    }
    StoreSums(sum, out + i);
  }
}

HWY_INLINE float Dot(const float* a, const float* b, size_t n) {
  const DF d;
  VF sum = hn::Zero(d);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    sum = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum);
  }
  return SumLanes(d, sum);
}

// row i of x *= factor[i].
HWY_INLINE void ScaleRows(size_t rows, size_t cols, const float* factor, float* x) {
  const DF d;
  for (size_t i = 0; i < rows; ++i) {
    const VF f = hn::Set(d, factor[i]);
    for (size_t j = i * cols; j < (i + 1) * cols; j += hn::Lanes(d)) {
      hn::Store(hn::Mul(f, hn::Load(d, x + j)), d, x + j);
    }
  }
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
