#include "kernels/activation/activation.h"

#include "kernels/activation/ref.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/strided_matrix.h"

namespace flashlm::kernels {
namespace {

using Activation = Elements;

TEST_P(Activation, SwiGluAndItsGradientEqualTheReference) {
  StridedMatrix x(dtype_, kRows, 2 * cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  StridedMatrix dx(dtype_, kRows, 2 * cols_, 4);
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
  StridedMatrix x(dtype_, kRows, 2 * cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  StridedMatrix dx(dtype_, kRows, 2 * cols_, 4);
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
  StridedMatrix x(dtype_, kRows, cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  x.Set(0, 0, -100.0f);
  x.Set(1, 0, 100.0f);
  const auto silu = [&](auto* in, auto* out) { ref::Silu(in, kRows * cols_, out); };
  std::vector<double> expected(static_cast<size_t>(kRows * cols_));
  silu(x.Dense().data(), expected.data());
  Silu(x.View(), y.View());
  ExpectEqual(y, expected);

  std::vector<double> gradient = ComplexStep(x.Dense<std::complex<double>>(), dy.Dense(), silu);
  SiluGrad(x.View(), dy.View(), y.View(), /*accumulate=*/false);
  ExpectEqual(y, gradient);
  StridedMatrix dx(dtype_, kRows, cols_, 4);
  const std::vector<double> before = dx.Dense();
  for (size_t i = 0; i < before.size(); ++i) gradient[i] += before[i];
  SiluGrad(x.View(), dy.View(), dx.View(), /*accumulate=*/true);
  ExpectEqual(dx, gradient);
}

TEST_P(Activation, ReluSquaredAndItsGradientEqualTheReference) {
  StridedMatrix x(dtype_, kRows, cols_, 1), y(dtype_, kRows, cols_, 2), dy(dtype_, kRows, cols_, 3);
  StridedMatrix dx(dtype_, kRows, cols_, 4);
  x.Set(0, 0, 0.0f);
  x.Set(1, 0, -1.0f);
  const auto squared = [&](auto* in, auto* out) { ref::ReluSquared(in, kRows * cols_, out); };
  std::vector<double> expected(static_cast<size_t>(kRows * cols_));
  squared(x.Dense().data(), expected.data());
  ReluSquared(x.View(), y.View());
  ExpectEqual(y, expected);

  ReluSquaredGrad(x.View(), dy.View(), dx.View());
  ExpectEqual(dx, ComplexStep(x.Dense<std::complex<double>>(), dy.Dense(), squared));
}

INSTANTIATE_TEST_SUITE_P(Widths, Activation, kElementsCases, Elements::Name);

TEST(ActivationThreads, ResultsDoNotDependOnThreads) {
  constexpr int kManyRows = 300, kCols = 257;
  ExpectSameWithAnyThreads([&] {
    StridedMatrix x(DType::kF32, kManyRows, 2 * kCols, 1), y(DType::kF32, kManyRows, kCols, 2);
    StridedMatrix dx(DType::kF32, kManyRows, 2 * kCols, 3);
    SwiGlu(x.View(), y.View());
    SwiGluGrad(x.View(), y.View(), dx.View());
    return dx.Dense();
  });
}

}  // namespace
}  // namespace flashlm::kernels
