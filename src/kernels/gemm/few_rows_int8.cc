#include "kernels/gemm/few_rows_int8.h"

#include <numeric>

#include "base/parallel.h"
#include "kernels/gemm/int8_tiles.h"

namespace flashlm::kernels {
namespace {

// Writes the sums of a tile as floats.
struct StoreSums {
  float* y;
  int64_t stride;
  FLASHLM_VNNI_INLINE void operator()(int n, int64_t first, __mmask16 lanes, __m512i sums) const {
    _mm512_mask_storeu_ps(y + n * stride + first, lanes, _mm512_cvtepi32_ps(sums));
  }
  FLASHLM_AVX2_INLINE void operator()(int n, int64_t first, int64_t left, __m256i sums) const {
    StoreFloats(y + n * stride + first, left, _mm256_cvtepi32_ps(sums));
  }
};

}  // namespace

void Int8Panels::SetValues(const int8_t* w, int64_t out, int64_t in) {
  panels_.SetValues({const_cast<int8_t*>(w), DType::kI8, out, in, in}, DType::kI8, kInt8Outputs);
  sums_.assign(static_cast<size_t>(panels_.count() * kInt8Outputs), 0);
  for (int64_t o = 0; o < out; ++o) sums_[static_cast<size_t>(o)] = std::accumulate(w + o * in, w + (o + 1) * in, 0);
}

void FewRowsInt8Product(const Matrix& q, const Int8Panels& w, const Matrix& y) {
  constexpr int64_t kWorthAThread = 65536;  // weights
  const Panels& panels = w.panels();
  const int64_t stride = PaddedInputs(q.cols, DType::kI8);
  thread_local Buffer offset;
  auto* x = static_cast<uint8_t*>(offset.AtLeast(static_cast<size_t>(q.rows * stride)));
  ParallelShares(q.rows, q.rows * q.cols >= 4 * kWorthAThread, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) AddInt8Offset(q.Row<int8_t>(n), q.cols, x + n * stride);
  });
  ParallelShares(panels.count(), WorthThreads(q.rows, y.cols * q.cols, kWorthAThread), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kInt8Outputs, outputs = std::min(kInt8Outputs, y.cols - first);
      const int8_t* panel = static_cast<const int8_t*>(panels.data()) + first * stride;
      ForRowBlocks<kMostInt8Rows>(q.rows, [&](int64_t row, auto count) {
        MultiplyInt8Tile<count>(x + row * stride, stride, panel, w.sums() + first, outputs,
                                StoreSums{y.Row<float>(row) + first, y.stride});
      });
    }
  });
}

}  // namespace flashlm::kernels
