#include "kernels/norm/norm.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"
#include "kernels/norm/ref.h"

namespace flashlm::kernels {
namespace {

TEST(RmsNorm, EqualsReference) {
  for (int cols : {1, 7, 16, 33, 256}) {
    constexpr int kRows = 5;
    Rng rng(1, Purpose::kTest, static_cast<uint64_t>(cols));
    std::vector<float> x(kRows * cols), gain(cols), y(kRows * cols);
    std::vector<double> x64(x.size()), gain64(cols), y64(x.size());
    for (size_t i = 0; i < x.size(); ++i) x64[i] = x[i] = rng.Normal();
    for (int i = 0; i < cols; ++i) gain64[i] = gain[i] = rng.Normal();
    RmsNorm({x.data(), DType::kF32, kRows, cols, cols}, gain.data(), 1e-6f, {y.data(), DType::kF32, kRows, cols, cols},
            nullptr);
    ref::RmsNorm(x64.data(), gain64.data(), 1e-6, kRows, cols, y64.data());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], y64[i], 1e-5) << cols << " " << i;
  }
}

}  // namespace
}  // namespace flashlm::kernels
