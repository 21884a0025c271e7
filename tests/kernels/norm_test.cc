#include "kernels/norm/norm.h"

#include <cmath>
#include <functional>

#include "kernels/norm/head_norm.h"
#include "kernels/norm/layer_norm.h"
#include "kernels/norm/ref.h"
#include "tests/kernels/any_threads.h"
#include "tests/kernels/normals.h"
#include "tests/kernels/strided_matrix.h"

namespace flashlm::kernels {
namespace {

using C = std::complex<double>;
constexpr int kManyRows = 150;  // three blocks of the parameters' gradients
constexpr float kEps = 1e-3f;

// A norm of one row by its definition: y_row from x_row and the parameters.
using Definition = std::function<void(const C* x_row, const C* parameters, C* y_row)>;

struct Expected {
  std::vector<double> y, dx, dparameters;
};

Expected Expect(const Definition& norm, const StridedMatrix& x, const std::vector<float>& parameters,
                const StridedMatrix& dy) {
  constexpr double kStep = 1e-30;
  std::vector<C> in = x.Dense<C>(), p(parameters.begin(), parameters.end()), out(static_cast<size_t>(x.cols));
  const std::vector<double> upstream = dy.Dense();
  Expected e{{}, std::vector<double>(in.size()), std::vector<double>(p.size())};
  for (int r = 0; r < x.rows; ++r) {
    C* row = in.data() + r * x.cols;
    norm(row, p.data(), out.data());
    for (const C& v : out) e.y.push_back(v.real());
    const auto slope = [&](C& of) {
      of += C(0, kStep);
      norm(row, p.data(), out.data());
      of = of.real();
      double sum = 0;
      for (int c = 0; c < x.cols; ++c) {
        sum += upstream[static_cast<size_t>(r * x.cols + c)] * out[static_cast<size_t>(c)].imag() / kStep;
      }
      return sum;
    };
    for (int c = 0; c < x.cols; ++c) e.dx[static_cast<size_t>(r * x.cols + c)] = slope(row[c]);
    for (size_t k = 0; k < p.size(); ++k) e.dparameters[k] += slope(p[k]);
  }
  return e;
}

void ExpectClose(const std::vector<float>& actual, const std::vector<double>& expected, double start) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], start + expected[i], 2e-5 * (1 + std::abs(expected[i]))) << i;
  }
}

// Gradients are compared after division by the largest, which grows where the rows are small.
void ExpectClose(const StridedMatrix& actual, const std::vector<double>& expected) {
  double largest = 1;
  for (const double v : expected) largest = std::max(largest, std::abs(v));
  const double tolerance = (actual.dtype == DType::kBF16 ? 8e-3 : 5e-6) * largest;
  for (int r = 0; r < actual.rows; ++r) {
    for (int c = 0; c < actual.cols; ++c) {
      EXPECT_NEAR(actual.Get(r, c), expected[static_cast<size_t>(r * actual.cols + c)], tolerance)
          << actual.cols << ": " << r << "," << c;
    }
  }
  actual.ExpectPaddingUntouched();
}

// Every third row is so small that eps decides, and one is zero.
void Shrink(StridedMatrix& x) {
  for (int r = 0; r < x.rows; ++r) {
    for (int c = 0; c < x.cols && r % 3 == 1; ++c) x.Set(r, c, r == 4 ? 0.0f : 0.01f * x.Get(r, c));
  }
}

std::vector<double> Sum(const StridedMatrix& before, const std::vector<double>& added) {
  std::vector<double> sum = before.Dense();
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += added[i];
  return sum;
}

// What a norm's gradient writes: `run` is called with the matrix for dx, whether to add, and the parameters' gradient.
using Gradient = std::function<void(const Matrix& dx, bool accumulate, float* dparameters)>;

void ExpectGradients(DType dtype, const Expected& expected, int cols, bool can_add, const Gradient& run) {
  for (const bool accumulate : {false, true}) {
    if (accumulate && !can_add) continue;
    StridedMatrix dx(dtype, kManyRows, cols, 9);
    const std::vector<double> wanted = accumulate ? Sum(dx, expected.dx) : expected.dx;
    std::vector<float> dparameters(expected.dparameters.size(), 0.5f);  // they are always added to
    run(dx.View(), accumulate, dparameters.data());
    ExpectClose(dx, wanted);
    ExpectClose(dparameters, expected.dparameters, 0.5);
  }
}

using Norm = Elements;

TEST_P(Norm, RmsNormAndItsGradientEqualTheReference) {
  const int cols = std::min(cols_, 130);
  StridedMatrix x(DType::kF32, kManyRows, cols, 1), y(dtype_, kManyRows, cols, 2), dy(dtype_, kManyRows, cols, 3);
  Shrink(x);
  const std::vector<float> gain = Normals(cols, 4);
  const Expected expected =
      Expect([&](const C* in, const C* p, C* out) { ref::RmsNorm(in, p, kEps, 1, cols, out); }, x, gain, dy);
  std::vector<float> inv_rms(kManyRows), scratch(static_cast<size_t>(RmsNormGradScratch(kManyRows, cols)));
  RmsNorm(x.View(), gain.data(), kEps, y.View(), nullptr);
  ExpectClose(y, expected.y);
  RmsNorm(x.View(), gain.data(), kEps, y.View(), inv_rms.data());
  ExpectClose(y, expected.y);
  ExpectGradients(DType::kF32, expected, cols, true, [&](const Matrix& dx, bool accumulate, float* dgain) {
    RmsNormGrad(x.View(), gain.data(), inv_rms.data(), dy.View(), dx, accumulate, dgain, scratch.data());
  });
}

TEST_P(Norm, LayerNormAndItsGradientEqualTheReference) {
  for (const int groups : {1, 3}) {
    const int width = std::min(cols_, 100 / groups), cols = width * groups;
    for (const DType x_type : {DType::kF32, DType::kBF16}) {
      StridedMatrix x(x_type, kManyRows, cols, 1), y(dtype_, kManyRows, cols, 2), dy(dtype_, kManyRows, cols, 3);
      Shrink(x);
      const std::vector<float> affine = Normals(2 * cols, 4);  // gain, bias
      const Expected expected =
          Expect([&](const C* in, const C* p, C* out) { ref::LayerNorm(in, p, p + cols, groups, kEps, 1, cols, out); },
                 x, affine, dy);
      std::vector<float> moments(static_cast<size_t>(2 * kManyRows * groups));
      std::vector<float> scratch(static_cast<size_t>(LayerNormGradScratch(kManyRows, cols)));
      LayerNorm(x.View(), affine.data(), affine.data() + cols, groups, kEps, y.View(), nullptr);
      ExpectClose(y, expected.y);
      LayerNorm(x.View(), affine.data(), affine.data() + cols, groups, kEps, y.View(), moments.data());
      ExpectClose(y, expected.y);
      ExpectGradients(x_type, expected, cols, true, [&](const Matrix& dx, bool accumulate, float* daffine) {
        LayerNormGrad(x.View(), affine.data(), groups, moments.data(), dy.View(), dx, accumulate, daffine,
                      daffine + cols, scratch.data());
      });
    }
  }
}

TEST_P(Norm, HeadNormAndItsGradientEqualTheReference) {
  const int dim = std::min(cols_, 33), parts = 2, heads = 2, cols = parts * heads * dim;
  StridedMatrix x(dtype_, kManyRows, cols, 1), y(dtype_, kManyRows, cols, 2), dy(dtype_, kManyRows, cols, 3);
  Shrink(x);
  const std::vector<float> gains = Normals(parts * dim, 4);
  const auto definition = [&](const C* in, const C* p, C* out) {
    for (int run = 0; run < parts * heads; ++run) {
      ref::RmsNorm(in + run * dim, p + run / heads * dim, kEps, 1, dim, out + run * dim);
    }
  };
  const Expected expected = Expect(definition, x, gains, dy);
  std::vector<float> inv_rms(static_cast<size_t>(kManyRows * parts * heads));
  std::vector<float> scratch(static_cast<size_t>(HeadNormGradScratch(kManyRows, parts, dim)));
  HeadNorm(x.View(), gains.data(), parts, dim, kEps, y.View(), inv_rms.data());
  ExpectClose(y, expected.y);
  ExpectGradients(dtype_, expected, cols, false, [&](const Matrix& dx, bool, float* dgains) {
    HeadNormGrad(x.View(), gains.data(), parts, dim, inv_rms.data(), dy.View(), dx, dgains, scratch.data());
  });
}

INSTANTIATE_TEST_SUITE_P(Widths, Norm, kElementsCases, Elements::Name);

TEST(NormThreads, ResultsDoNotDependOnThreads) {
  constexpr int kCols = 37;
  ExpectSameWithAnyThreads([&] {
    StridedMatrix x(DType::kF32, kManyRows, kCols, 1), y(DType::kF32, kManyRows, kCols, 2), dx = y;
    const std::vector<float> affine = Normals(2 * kCols, 4);
    std::vector<float> inv_rms(kManyRows), moments(2 * kManyRows), sums(3 * kCols);
    std::vector<float> scratch(static_cast<size_t>(LayerNormGradScratch(kManyRows, kCols)));
    RmsNorm(x.View(), affine.data(), kEps, y.View(), inv_rms.data());
    RmsNormGrad(x.View(), affine.data(), inv_rms.data(), y.View(), dx.View(), false, sums.data(), scratch.data());
    LayerNorm(x.View(), affine.data(), affine.data() + kCols, 1, kEps, y.View(), moments.data());
    LayerNormGrad(x.View(), affine.data(), 1, moments.data(), y.View(), dx.View(), true, sums.data() + kCols,
                  sums.data() + 2 * kCols, scratch.data());
    std::vector<double> all = dx.Dense();
    all.insert(all.end(), sums.begin(), sums.end());
    return all;
  });
}

}  // namespace
}  // namespace flashlm::kernels
