#include "kernels/scan/scan.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/scan/ref.h"

namespace flashlm::kernels {
namespace {

constexpr float kFloor = 0.25f;

// One recurrence of either form in either element type: 2 sequences of 23 steps, 131 channels (a strip and a rest).
struct Recurrence {
  Recurrence(bool gated, DType dtype, int length = 23) : gated(gated), dtype(dtype), shape{2, length, 131} {
    Rng rng(3, Purpose::kTest);
    const auto draw = [&](std::vector<float>& values, int64_t n) {
      for (int64_t i = 0; i < n; ++i) values.push_back(ToFloat(ToBFloat16(rng.Normal())));
    };
    draw(proj, Rows() * parts() * shape.width);
    draw(vector, shape.width);
    draw(dy, Rows() * shape.width);
    for (std::vector<float>* values : {&y, &states}) values->resize(dy.size());
    dproj.resize(proj.size());
    for (float value : proj) proj16.push_back(ToBFloat16(value));
    for (float value : dy) dy16.push_back(ToBFloat16(value));
    y16.resize(dy.size());
    dproj16.resize(proj.size());
  }
  int64_t Rows() const { return shape.batch * shape.length; }
  int64_t parts() const { return gated ? 3 : 2; }
  Matrix View(std::vector<float>& f32, std::vector<BFloat16>& bf16, int64_t cols, int64_t first, int64_t rows) const {
    void* data = dtype == DType::kF32 ? static_cast<void*>(f32.data() + first * cols) : bf16.data() + first * cols;
    return {data, dtype, rows, cols, cols};
  }
  // Rows [first, first + rows) as `s` describes them.
  void Forward(const ScanShape& s, int64_t first, float* state, float* all) {
    const int64_t rows = s.batch * s.length;
    const Matrix x = View(proj, proj16, parts() * s.width, first, rows), out = View(y, y16, s.width, first, rows);
    if (gated) {
      GatedScan(s, Gated::Of(x), vector.data(), kFloor, state, out, all);
    } else {
      DecayScan(s, x, vector.data(), state, out, all);
    }
  }
  void Backward() {
    Forward(shape, 0, nullptr, states.data());
    dvector.assign(static_cast<size_t>(shape.width), 1.0f);  // gradients are added
    std::vector<float> scratch(static_cast<size_t>(shape.batch * shape.width));
    const Matrix x = View(proj, proj16, parts() * shape.width, 0, Rows()), g = View(dy, dy16, shape.width, 0, Rows());
    const Matrix dx = View(dproj, dproj16, parts() * shape.width, 0, Rows());
    if (gated) {
      GatedScanGrad(shape, Gated::Of(x), vector.data(), kFloor, states.data(), g, Gated::Of(dx), dvector.data(),
                    scratch.data());
    } else {
      DecayScanGrad(shape, x, vector.data(), states.data(), g, dx, dvector.data(), scratch.data());
    }
  }
  float At(const std::vector<float>& f32, const std::vector<BFloat16>& bf16, size_t i) const {
    return dtype == DType::kF32 ? f32[i] : ToFloat(bf16[i]);
  }

  bool gated;
  DType dtype;
  ScanShape shape;
  std::vector<float> proj, vector, dy, y, states, dproj, dvector;
  std::vector<BFloat16> proj16, dy16, y16, dproj16;
};

class ScanTest : public testing::TestWithParam<bool> {};

TEST_P(ScanTest, BothTypesFollowTheDefinition) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Recurrence run(GetParam(), dtype);
    run.Forward(run.shape, 0, nullptr, nullptr);
    const std::vector<double> proj(run.proj.begin(), run.proj.end()), vector(run.vector.begin(), run.vector.end());
    std::vector<double> expected(run.y.size());
    if (GetParam()) {
      ref::GatedScan(run.shape, proj.data(), vector.data(), kFloor, expected.data());
    } else {
      ref::DecayScan(run.shape, proj.data(), vector.data(), expected.data());
    }
    const double tolerance = dtype == DType::kF32 ? 2e-6 : 5e-3;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(run.At(run.y, run.y16, i), expected[i], tolerance * (1 + std::abs(expected[i])));
    }
  }
}

TEST_P(ScanTest, Bf16GradientsAreThoseOfF32Rounded) {
  Recurrence f32(GetParam(), DType::kF32), bf16(GetParam(), DType::kBF16);
  f32.Backward();
  bf16.Backward();
  for (size_t i = 0; i < f32.dproj.size(); ++i) {
    EXPECT_NEAR(ToFloat(bf16.dproj16[i]), f32.dproj[i], 5e-3 * (1 + std::abs(f32.dproj[i])));
  }
  EXPECT_EQ(f32.dvector, bf16.dvector);
}

TEST_P(ScanTest, PiecesWithStateEqualTheWhole) {
  Recurrence whole(GetParam(), DType::kF32), pieces(GetParam(), DType::kF32);
  const ScanShape one{1, whole.shape.length, whole.shape.width};
  whole.Forward(one, 0, nullptr, nullptr);
  std::vector<float> state(static_cast<size_t>(one.width), 0.0f);
  int64_t first = 0;
  for (const int64_t length : {1, 7, 1, 14}) {
    pieces.Forward({1, length, one.width}, first, state.data(), nullptr);
    first += length;
  }
  EXPECT_EQ(whole.y, pieces.y);
}

TEST_P(ScanTest, ThreadsDoNotChangeABit) {
  const int before = ThreadCount();
  std::vector<Recurrence> runs;
  for (const int threads : {1, 3}) {
    SetThreadCount(threads);
    runs.emplace_back(GetParam(), DType::kF32, 300);
    runs.back().Backward();
  }
  SetThreadCount(before);
  EXPECT_EQ(runs[0].y, runs[1].y);
  EXPECT_EQ(runs[0].dproj, runs[1].dproj);
  EXPECT_EQ(runs[0].dvector, runs[1].dvector);
}

INSTANTIATE_TEST_SUITE_P(Forms, ScanTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Gated" : "Decay"; });

}  // namespace
}  // namespace flashlm::kernels
