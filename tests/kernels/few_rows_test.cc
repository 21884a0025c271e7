#include "kernels/gemm/few_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"

namespace flashlm::kernels {
namespace {

// A matrix of either element type with a row stride of its own.
struct Operand {
  Operand(DType dtype, int64_t rows, int64_t cols, int64_t stride, uint64_t seed)
      : view{nullptr, dtype, rows, cols, stride}, f32(static_cast<size_t>(rows * stride)), bf16(f32.size()) {
    Rng rng(seed, Purpose::kTest);
    for (size_t i = 0; i < f32.size(); ++i) {
      bf16[i] = ToBFloat16(rng.Normal());
      f32[i] = dtype == DType::kBF16 ? ToFloat(bf16[i]) : rng.Normal();
    }
  }
  Matrix View() {
    view.data = view.dtype == DType::kBF16 ? static_cast<void*>(bf16.data()) : static_cast<void*>(f32.data());
    return view;
  }
  float Get(int64_t r, int64_t c) const {
    const auto at = static_cast<size_t>(r * view.stride + c);
    return view.dtype == DType::kBF16 ? ToFloat(bf16[at]) : f32[at];
  }

  Matrix view;
  std::vector<float> f32;
  std::vector<BFloat16> bf16;
};

Panels Pack(Operand& w) {
  Panels packed;
  packed.SetValues({w.f32.data(), DType::kF32, w.view.rows, w.view.cols, w.view.cols}, w.view.dtype, PanelOutputs());
  return packed;
}

constexpr DType kTypes[] = {DType::kF32, DType::kBF16};

TEST(FewRowsProduct, EqualsPlainLoops) {
  for (DType tx : kTypes) {
    for (DType tw : kTypes) {
      for (DType ty : kTypes) {
        for (int64_t in : {1, 7, 33, 64, 257}) {
          for (int64_t n : {1, 2, 3, 7, 18}) {
            constexpr int64_t kOut = 43;
            Operand x(tx, n, in, in + 3, 1), w(tw, kOut, in, in, 2), y(ty, n, kOut, kOut + 5, 3);
            for (bool accumulate : {false, true}) {
              const Operand before = y;
              FewRowsProduct(x.View(), Pack(w), y.View(), accumulate);
              for (int64_t r = 0; r < n; ++r) {
                for (int64_t o = 0; o < kOut + 5; ++o) {
                  double sum = accumulate || o >= kOut ? before.Get(r, o) : 0;
                  for (int64_t i = 0; o < kOut && i < in; ++i) sum += static_cast<double>(x.Get(r, i)) * w.Get(o, i);
                  const double tolerance = (ty == DType::kBF16 ? 4e-3 : 1e-5) * (1 + std::abs(sum));
                  ASSERT_NEAR(y.Get(r, o), sum, tolerance) << in << " " << n << " " << r << " " << o;
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST(FewRowsProduct, BitsDoNotDependOnRowsOrThreads) {
  constexpr int64_t kMost = 16, kOut = 515, kIn = 300;
  const int threads = ThreadCount();
  for (DType tw : kTypes) {
    Operand x(DType::kF32, kMost, kIn, kIn, 1), w(tw, kOut, kIn, kIn, 2);
    const Panels packed = Pack(w);
    Operand expected(DType::kF32, kMost, kOut, kOut, 3);
    SetThreadCount(1);
    for (int64_t r = 0; r < kMost; ++r) {
      Matrix row = x.View(), out = expected.View();
      row.data = row.Row<float>(r);
      out.data = out.Row<float>(r);
      row.rows = out.rows = 1;
      FewRowsProduct(row, packed, out, false);
    }
    for (int count : {1, 2, 3}) {
      SetThreadCount(count);
      for (int64_t n = 1; n <= kMost; ++n) {
        Operand y(DType::kF32, n, kOut, kOut, 4);
        Matrix rows = x.View();
        rows.rows = n;
        FewRowsProduct(rows, packed, y.View(), false);
        for (size_t i = 0; i < y.f32.size(); ++i) ASSERT_EQ(y.f32[i], expected.f32[i]) << count << " " << n << " " << i;
      }
    }
  }
  SetThreadCount(threads);
}

}  // namespace
}  // namespace flashlm::kernels
