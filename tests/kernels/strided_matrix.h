// Matrices for tests: strided, of either element type, with their values in double for the references; and gradients of
// the references by the complex step.
#pragma once

#include <gtest/gtest.h>

#include <complex>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/matrix.h"

namespace flashlm::kernels {

inline constexpr int kPad = 3;  // every matrix under test is a strided view
inline constexpr float kUntouched = -77;

// A strided matrix of either element type that keeps its values in double as well, for the references.
struct StridedMatrix {
  StridedMatrix(DType dtype, int rows, int cols, uint64_t seed) : dtype(dtype), rows(rows), cols(cols) {
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

inline void ExpectEqual(const StridedMatrix& actual, const std::vector<double>& expected) {
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

// Element types and widths that no vector divides, for INSTANTIATE_TEST_SUITE_P.
struct ElementsCase {
  DType dtype;
  int cols;
};

inline const auto kElementsCases =
    ::testing::Values(ElementsCase{DType::kF32, 1}, ElementsCase{DType::kF32, 7}, ElementsCase{DType::kF32, 33},
                      ElementsCase{DType::kF32, 257}, ElementsCase{DType::kBF16, 1}, ElementsCase{DType::kBF16, 7},
                      ElementsCase{DType::kBF16, 33}, ElementsCase{DType::kBF16, 257});

class Elements : public ::testing::TestWithParam<ElementsCase> {
 public:
  static std::string Name(const ::testing::TestParamInfo<ElementsCase>& info) {
    return std::string(NameOf(info.param.dtype)) + "_" + std::to_string(info.param.cols);
  }

 protected:
  static constexpr int kRows = 5;
  const DType dtype_ = GetParam().dtype;
  const int cols_ = GetParam().cols;
};

}  // namespace flashlm::kernels
