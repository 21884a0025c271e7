#include "kernels/activation/activation.h"

#include <gtest/gtest.h>

#include <complex>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/activation/geglu.h"
#include "kernels/activation/ref.h"
#include "kernels/activation/silu.h"
#include "kernels/random/dropout.h"

namespace flashlm::kernels {
namespace {

constexpr int kRows = 5;
constexpr int kPad = 3;  // every matrix under test is a strided view
constexpr float kUntouched = -77;

// A strided matrix of either element type that keeps its values in double as well, for the references.
struct TestMatrix {
  TestMatrix(DType dtype, int rows, int cols, uint64_t seed) : dtype(dtype), rows(rows), cols(cols) {
    Rng rng(seed, Purpose::kTest);
    f32.assign(static_cast<size_t>(rows) * (cols + kPad), kUntouched);
    bf16.assign(f32.size(), ToBFloat16(kUntouched));
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) Set(r, c, 2 * rng.Normal());
    }
  }
  size_t At(int r, int c) const { return static_cast<size_t>(r) * (cols + kPad) + c; }
  void Set(int r, int c, float value) {
    bf16[At(r, c)] = ToBFloat16(value);
    f32[At(r, c)] = dtype == DType::kBF16 ? ToFloat(bf16[At(r, c)]) : value;
  }
  float Get(int r, int c) const { return dtype == DType::kBF16 ? ToFloat(bf16[At(r, c)]) : f32[At(r, c)]; }
  Matrix View() {
    void* data = dtype == DType::kBF16 ? static_cast<void*>(bf16.data()) : static_cast<void*>(f32.data());
    return {data, dtype, rows, cols, cols + kPad};
  }
  template <class S = double>
  std::vector<S> Dense() const {
    std::vector<S> values;
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) values.push_back(S(Get(r, c)));
    }
    return values;
  }
  void ExpectPaddingUntouched() const {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < kPad; ++c) {
        const size_t at = At(r, cols) + static_cast<size_t>(c);
        EXPECT_EQ(dtype == DType::kBF16 ? ToFloat(bf16[at]) : f32[at], ToFloat(ToBFloat16(kUntouched)));
      }
    }
  }

  DType dtype;
  int rows, cols;
  std::vector<float> f32;
  std::vector<BFloat16> bf16;
};

void ExpectEqual(const TestMatrix& actual, const std::vector<double>& expected) {
  const double tolerance = actual.dtype == DType::kBF16 ? 8e-3 : 2e-6;
  for (int r = 0; r < actual.rows; ++r) {
    for (int c = 0; c < actual.cols; ++c) {
      const double want = expected[static_cast<size_t>(r * actual.cols + c)];
      EXPECT_NEAR(actual.Get(r, c), want, tolerance * (1 + std::abs(want))) << actual.cols << ": " << r << "," << c;
    }
  }
  actual.ExpectPaddingUntouched();
}

// d/dx of sum(dy * f(x)) by the complex step, one input element at a time.
template <class F>
std::vector<double> ComplexStep(std::vector<std::complex<double>> x, const std::vector<double>& dy, const F& f) {
  constexpr double kStep = 1e-30;
  std::vector<double> gradient(x.size());
  std::vector<std::complex<double>> y(dy.size());
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] += std::complex<double>(0, kStep);
    f(x.data(), y.data());
    for (size_t j = 0; j < y.size(); ++j) gradient[i] += dy[j] * y[j].imag() / kStep;
    x[i] = x[i].real();
  }
  return gradient;
}

struct Case {
  DType dtype;
  int cols;
};

class Activation : public ::testing::TestWithParam<Case> {
 protected:
  const DType dtype_ = GetParam().dtype;
  const int cols_ = GetParam().cols;
};

TEST_P(Activation, SwiGluAndItsGradientEqualTheReference) {
  TestMatrix x(dtype_, kRows, 2 * cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  TestMatrix dx(dtype_, kRows, 2 * cols_, 4);
  x.Set(0, 0, -100.0f);  // saturated gates give no NaN
  x.Set(1, 0, 100.0f);
  std::vector<double> expected(static_cast<size_t>(kRows * cols_));
  ref::SwiGlu(x.Dense().data(), kRows, cols_, expected.data());
  SwiGlu(x.View(), y.View());
  ExpectEqual(y, expected);

  SwiGluGrad(x.View(), dy.View(), dx.View());
  ExpectEqual(dx, ComplexStep(x.Dense<std::complex<double>>(), dy.Dense(),
                              [&](auto* in, auto* out) { ref::SwiGlu(in, kRows, cols_, out); }));
}

TEST_P(Activation, GeGluAndItsGradientEqualTheReference) {
  TestMatrix x(dtype_, kRows, 2 * cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  TestMatrix dx(dtype_, kRows, 2 * cols_, 4);
  x.Set(0, 0, -100.0f);
  x.Set(1, 0, 100.0f);
  std::vector<double> expected(static_cast<size_t>(kRows * cols_));
  ref::GeGlu(x.Dense().data(), kRows, cols_, expected.data());
  GeGlu(x.View(), y.View());
  ExpectEqual(y, expected);

  GeGluGrad(x.View(), dy.View(), dx.View());
  ExpectEqual(dx, ComplexStep(x.Dense<std::complex<double>>(), dy.Dense(),
                              [&](auto* in, auto* out) { ref::GeGlu(in, kRows, cols_, out); }));
}

TEST_P(Activation, SiluAndItsGradientEqualTheReference) {
  TestMatrix x(dtype_, kRows, cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  x.Set(0, 0, -100.0f);
  x.Set(1, 0, 100.0f);
  const auto silu = [&](auto* in, auto* out) {
    for (int i = 0; i < kRows * cols_; ++i) out[i] = in[i] * ref::Sigmoid(in[i]);
  };
  std::vector<double> expected(static_cast<size_t>(kRows * cols_));
  silu(x.Dense().data(), expected.data());
  Silu(x.View(), y.View());
  ExpectEqual(y, expected);

  std::vector<double> gradient = ComplexStep(x.Dense<std::complex<double>>(), dy.Dense(), silu);
  SiluGrad(x.View(), dy.View(), y.View(), /*accumulate=*/false);
  ExpectEqual(y, gradient);
  TestMatrix dx(dtype_, kRows, cols_, 4);
  const std::vector<double> before = dx.Dense();
  for (size_t i = 0; i < before.size(); ++i) gradient[i] += before[i];
  SiluGrad(x.View(), dy.View(), dx.View(), /*accumulate=*/true);
  ExpectEqual(dx, gradient);
}

TEST_P(Activation, GateMixAndItsGradientEqualTheReference) {
  TestMatrix gate(dtype_, kRows, cols_, 1), a(dtype_, kRows, cols_, 2), b(dtype_, kRows, cols_, 3);
  TestMatrix y(dtype_, kRows, cols_, 4), dy(dtype_, kRows, cols_, 5);
  TestMatrix dgate(dtype_, kRows, cols_, 6), da(dtype_, kRows, cols_, 7), db(dtype_, kRows, cols_, 8);
  const int n = kRows * cols_;
  std::vector<double> expected(static_cast<size_t>(n));
  ref::GateMix(gate.Dense().data(), a.Dense().data(), b.Dense().data(), n, expected.data());
  GateMix(gate.View(), a.View(), b.View(), y.View());
  ExpectEqual(y, expected);

  GateMixGrad(gate.View(), a.View(), b.View(), dy.View(), dgate.View(), da.View(), db.View());
  using C = std::complex<double>;
  const auto vg = gate.Dense<C>(), va = a.Dense<C>(), vb = b.Dense<C>();
  ExpectEqual(
      dgate, ComplexStep(vg, dy.Dense(), [&](auto* in, auto* out) { ref::GateMix(in, va.data(), vb.data(), n, out); }));
  ExpectEqual(
      da, ComplexStep(va, dy.Dense(), [&](auto* in, auto* out) { ref::GateMix(vg.data(), in, vb.data(), n, out); }));
  ExpectEqual(
      db, ComplexStep(vb, dy.Dense(), [&](auto* in, auto* out) { ref::GateMix(vg.data(), va.data(), in, n, out); }));
}

TEST_P(Activation, CopyConvertsAndAccumulates) {
  for (DType to : {DType::kF32, DType::kBF16}) {
    TestMatrix x(dtype_, kRows, cols_, 1), y(to, kRows, cols_, 2);
    std::vector<double> sum = y.Dense();
    const std::vector<double> vx = x.Dense();
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += vx[i];
    CopyMatrix(x.View(), y.View(), /*accumulate=*/true);
    ExpectEqual(y, sum);
    CopyMatrix(x.View(), y.View(), /*accumulate=*/false);
    ExpectEqual(y, vx);
    if (to == dtype_) {
      EXPECT_EQ(y.Dense(), vx);
    }
  }
}

TEST_P(Activation, DropoutEqualsItsDefinition) {
  const Dropout dropout{.p = 0.3f, .key = MakePhiloxKey(5, Purpose::kDropout), .step = uint64_t{9} << 32};
  const DropoutRule rule = MakeDropoutRule(dropout.p, dropout.key, dropout.step);
  for (DType to : {DType::kF32, DType::kBF16}) {
    TestMatrix x(dtype_, kRows, cols_, 1), y(to, kRows, cols_, 2), base(to, kRows, cols_, 2), z(to, kRows, cols_, 3);
    ApplyDropout(x.View(), dropout, y.View(), /*accumulate=*/true);
    std::vector<double> sum = base.Dense(), alone = x.Dense();
    for (int i = 0; i < kRows * cols_; ++i) {
      alone[static_cast<size_t>(i)] *= DropoutScale(rule, i / cols_, i % cols_);
      sum[static_cast<size_t>(i)] += alone[static_cast<size_t>(i)];
    }
    ExpectEqual(y, sum);
    ApplyDropout(x.View(), dropout, y.View(), /*accumulate=*/false);
    ExpectEqual(y, alone);
    if (to == DType::kF32) {
      AddDropout(base.View(), x.View(), dropout, z.View());
      ExpectEqual(z, sum);
      AddDropout(base.View(), x.View(), dropout, base.View());
      EXPECT_EQ(base.Dense(), z.Dense());
    }
  }
}

TEST_P(Activation, NoDropoutKeepsEverything) {
  TestMatrix x(dtype_, kRows, cols_, 1), y(dtype_, kRows, cols_, 2);
  ApplyDropout(x.View(), Dropout{}, y.View(), /*accumulate=*/false);
  EXPECT_EQ(y.Dense(), x.Dense());
}

INSTANTIATE_TEST_SUITE_P(Widths, Activation,
                         ::testing::Values(Case{DType::kF32, 1}, Case{DType::kF32, 7}, Case{DType::kF32, 33},
                                           Case{DType::kF32, 257}, Case{DType::kBF16, 1}, Case{DType::kBF16, 7},
                                           Case{DType::kBF16, 33}, Case{DType::kBF16, 257}),
                         [](const auto& info) {
                           return std::string(NameOf(info.param.dtype)) + "_" + std::to_string(info.param.cols);
                         });

class RowDots : public ::testing::TestWithParam<int> {};

TEST_P(RowDots, EqualTheReferenceAsTheirGradientsDo) {
  const int cols = GetParam();
  constexpr int kManyRows = 150;  // three blocks of the weight gradient
  TestMatrix x(DType::kF32, kManyRows, cols, 1), dx(DType::kF32, kManyRows, cols, 2), before = dx;
  std::vector<float> w(cols), y(kManyRows), dy(kManyRows), dw(cols, 1.0f);
  Rng rng(7, Purpose::kTest);
  for (float& v : w) v = rng.Normal();
  for (float& v : dy) v = rng.Normal();
  const std::vector<double> w64(w.begin(), w.end()), dy64(dy.begin(), dy.end());
  std::vector<double> expected(kManyRows);
  ref::RowDot(x.Dense().data(), w64.data(), kManyRows, cols, expected.data());
  RowDot(x.View(), w.data(), y.data());
  for (int r = 0; r < kManyRows; ++r) EXPECT_NEAR(y[r], expected[r], 1e-4);

  std::vector<float> scratch(static_cast<size_t>(RowDotGradScratch(kManyRows, cols)));
  RowDotGrad(x.View(), w.data(), dy.data(), dx.View(), /*accumulate=*/true, dw.data(), scratch.data());
  std::vector<double> dx64(static_cast<size_t>(kManyRows * cols)), dw64(cols, 1.0);
  for (int r = 0; r < kManyRows; ++r) {
    for (int c = 0; c < cols; ++c) {
      dx64[static_cast<size_t>(r * cols + c)] = before.Get(r, c) + dy64[r] * w64[c];
      dw64[c] += dy64[r] * x.Get(r, c);
    }
  }
  ExpectEqual(dx, dx64);
  for (int c = 0; c < cols; ++c) EXPECT_NEAR(dw[c], dw64[c], 1e-4);
  RowDotGrad(x.View(), w.data(), dy.data(), dx.View(), /*accumulate=*/false, dw.data(), scratch.data());
  for (int c = 0; c < cols; ++c) EXPECT_EQ(dx.Get(3, c), dy[3] * w[c]);
}

INSTANTIATE_TEST_SUITE_P(Widths, RowDots, ::testing::Values(1, 7, 33, 257));

TEST(ActivationThreads, ResultsDoNotDependOnThreads) {
  constexpr int kManyRows = 300, kCols = 257;
  const Dropout dropout{.p = 0.1f, .key = MakePhiloxKey(1, Purpose::kDropout), .step = 3};
  const auto run = [&](int threads) {
    SetThreadCount(threads);
    TestMatrix x(DType::kF32, kManyRows, 2 * kCols, 1), y(DType::kF32, kManyRows, kCols, 2);
    TestMatrix dx(DType::kF32, kManyRows, 2 * kCols, 3);
    std::vector<float> w(2 * kCols, 0.3f), dots(kManyRows), dw(2 * kCols);
    std::vector<float> scratch(static_cast<size_t>(RowDotGradScratch(kManyRows, 2 * kCols)));
    SwiGlu(x.View(), y.View());
    SwiGluGrad(x.View(), y.View(), dx.View());
    AddDropout(dx.View(), x.View(), dropout, dx.View());
    RowDot(dx.View(), w.data(), dots.data());
    RowDotGrad(x.View(), w.data(), dots.data(), dx.View(), true, dw.data(), scratch.data());
    std::vector<double> all = dx.Dense();
    all.insert(all.end(), dw.begin(), dw.end());
    return all;
  };
  const int threads = ThreadCount();
  const auto one = run(1), two = run(2), three = run(3);
  SetThreadCount(threads);
  EXPECT_EQ(one, two);
  EXPECT_EQ(one, three);
}

}  // namespace
}  // namespace flashlm::kernels
