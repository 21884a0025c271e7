#include "kernels/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/optimizer/ref.h"

namespace flashlm::kernels {
namespace {

std::vector<float> Normals(int64_t n, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = rng.Normal();
  return values;
}

std::vector<double> Widened(const std::vector<float>& x) { return {x.begin(), x.end()}; }

TEST(AdamW, FollowsTheReferenceForSeveralSteps) {
  for (int64_t n : {1, 7, 33, 257, 40000}) {
    std::vector<float> theta = Normals(n, 1), m(theta.size()), v(theta.size());
    std::vector<double> theta64 = Widened(theta), m64(theta.size()), v64(theta.size());
    for (int64_t step = 1; step <= 5; ++step) {
      const AdamWStep how{.lr = 1e-2, .weight_decay = 0.1, .step = step, .gradient_scale = 0.25};
      std::vector<float> gradient = Normals(n, static_cast<uint64_t>(step + 1));
      ref::AdamW(how, n, theta64.data(), Widened(gradient).data(), m64.data(), v64.data());
      AdamW(how, n, theta.data(), gradient.data(), m.data(), v.data());
      EXPECT_EQ(gradient, std::vector<float>(gradient.size(), 0.0f));
    }
    for (size_t i = 0; i < theta.size(); ++i) {
      ASSERT_NEAR(theta[i], theta64[i], 2e-6 * (1 + std::abs(theta64[i]))) << n << " " << i;
      ASSERT_NEAR(m[i], m64[i], 1e-6);
      ASSERT_NEAR(v[i], v64[i], 1e-6);
    }
  }
}

TEST(AdamW, LeavesAParameterWithoutGradientToDecayAlone) {
  float theta = 2, gradient = 0, m = 0, v = 0;
  AdamW({.lr = 0.5, .weight_decay = 0.5}, 1, &theta, &gradient, &m, &v);
  EXPECT_EQ(theta, 1.5f);
}

TEST(AdamW, DoesNotDependOnThreads) {
  const auto run = [](int threads) {
    SetThreadCount(threads);
    std::vector<float> theta = Normals(100001, 1), gradient = Normals(100001, 2), m(theta.size()), v(theta.size());
    AdamW({.lr = 1e-3, .weight_decay = 0.1}, 100001, theta.data(), gradient.data(), m.data(), v.data());
    return theta;
  };
  const int threads = ThreadCount();
  const auto one = run(1), two = run(2), three = run(3);
  SetThreadCount(threads);
  EXPECT_EQ(one, two);
  EXPECT_EQ(one, three);
}

}  // namespace
}  // namespace flashlm::kernels
