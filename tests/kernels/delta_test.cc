#include "kernels/delta/delta.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/delta/ref.h"
#include "tests/kernels/normals.h"

namespace flashlm::kernels {
namespace {

using Complex = std::complex<double>;

int Columns(const DeltaShape& s) { return 3 * s.heads * s.mem_dim + s.heads * (s.delta_rule ? 2 : 1); }
int Width(const DeltaShape& s) { return s.heads * s.mem_dim; }
int64_t Rows(const DeltaShape& s) { return int64_t{s.batch} * s.length; }

std::string Print(const DeltaShape& s) {
  return "B" + std::to_string(s.batch) + " T" + std::to_string(s.length) + " H" + std::to_string(s.heads) + " M" +
         std::to_string(s.mem_dim) + (s.delta_rule ? " delta" : " linear");
}

template <class T>
constexpr DType kTypeOf = sizeof(T) == 2 ? DType::kBF16 : DType::kF32;

template <class T>
Matrix View(std::vector<T>& x, int64_t rows, int64_t cols) {
  return {x.data(), kTypeOf<T>, rows, cols, cols};
}

template <class To, class From>
std::vector<To> Converted(const std::vector<From>& x) {
  std::vector<To> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if constexpr (sizeof(To) <= 4) {
      y[i] = FromFloat<To>(ToFloat(x[i]));
    } else {
      y[i] = To(ToFloat(x[i]));
    }
  }
  return y;
}

// Inputs of one case; alpha_bias is 4 as in the model, so that the memory is long.
struct Inputs {
  DeltaShape shape;
  std::vector<float> proj, alpha_bias, state;

  explicit Inputs(const DeltaShape& s, uint64_t seed = 1) : shape(s) {
    proj = Normals(static_cast<size_t>(Rows(s) * Columns(s)), seed);
    alpha_bias.assign(static_cast<size_t>(s.heads), 4.0f);
    state = Normals(static_cast<size_t>(s.batch * DeltaStateSize(s)), seed + 1);
  }
};

template <class T = float>
std::vector<T> Forward(const DeltaShape& s, std::vector<T> proj, const std::vector<float>& bias, float* state = nullptr,
                       std::vector<float>* saved = nullptr) {
  std::vector<T> out(static_cast<size_t>(Rows(s) * Width(s)));
  if (saved) saved->assign(static_cast<size_t>(DeltaSavedSize(s)), NAN);
  DeltaMemory(s, View(proj, Rows(s), Columns(s)), s.delta_rule ? bias.data() : nullptr, state, DeltaStateSize(s),
              View(out, Rows(s), Width(s)), saved ? saved->data() : nullptr);
  return out;
}

struct Gradient {
  std::vector<float> proj, bias;
};

template <class T = float>
Gradient Backward(const DeltaShape& s, std::vector<T> proj, const std::vector<float>& bias, std::vector<T> dout) {
  std::vector<float> saved;
  Forward<T>(s, proj, bias, nullptr, &saved);
  std::vector<T> dproj(proj.size());
  Gradient g{{}, std::vector<float>(bias.size(), 1.0f)};  // the bias gradient is added to what is there
  DeltaMemoryGrad(s, View(proj, Rows(s), Columns(s)), s.delta_rule ? bias.data() : nullptr, saved.data(),
                  View(dout, Rows(s), Width(s)), View(dproj, Rows(s), Columns(s)),
                  s.delta_rule ? g.bias.data() : nullptr);
  g.proj = Converted<float>(dproj);
  return g;
}

const DeltaShape kShapes[] = {
    {1, 1, 1, 1},   {2, 3, 1, 2},   {1, 7, 2, 4},    {2, 16, 1, 4},  {1, 17, 3, 5},
    {1, 40, 2, 16}, {2, 33, 2, 17}, {2, 100, 4, 32}, {1, 70, 2, 48}, {1, 100, 2, 64},
};

class Delta : public testing::TestWithParam<bool> {
 protected:
  void TearDown() override { SetThreadCount(threads_); }
  std::vector<Inputs> Cases() const {
    std::vector<Inputs> cases;
    for (DeltaShape s : kShapes) {
      s.delta_rule = GetParam();
      cases.emplace_back(s);
    }
    return cases;
  }
  Inputs Case(int batch, int length, int heads, int mem_dim) const {
    return Inputs({batch, length, heads, mem_dim, GetParam()});
  }
  const int threads_ = ThreadCount();
};
INSTANTIATE_TEST_SUITE_P(Modes, Delta, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "delta" : "linear"; });

TEST_P(Delta, ForwardEqualsReference) {
  for (const Inputs& in : Cases()) {
    for (bool with_state : {false, true}) {
      const DeltaShape& s = in.shape;
      const auto proj = Converted<double>(in.proj), bias = Converted<double>(in.alpha_bias);
      auto state64 = Converted<double>(in.state);
      std::vector<double> expected(static_cast<size_t>(Rows(s) * Width(s)));
      ref::DeltaMemory(s, proj.data(), bias.data(), with_state ? state64.data() : nullptr, expected.data());
      std::vector<float> state = in.state;
      const auto out = Forward(s, in.proj, in.alpha_bias, with_state ? state.data() : nullptr);
      for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 2e-5) << Print(s) << " " << i;
      if (!with_state) continue;
      for (size_t i = 0; i < state.size(); ++i) ASSERT_NEAR(state[i], state64[i], 5e-5) << Print(s) << " " << i;
    }
  }
}

// d/dx of <weights, out> by the complex step, for proj element `at` or, at < 0, for the bias of head -at - 1.
double ComplexStep(const DeltaShape& s, const std::vector<Complex>& proj, const std::vector<Complex>& bias,
                   const std::vector<float>& weights, int64_t at) {
  constexpr double kStep = 1e-30;
  auto x = proj, b = bias;
  (at >= 0 ? x[static_cast<size_t>(at)] : b[static_cast<size_t>(-at - 1)]) += Complex(0, kStep);
  std::vector<Complex> out(weights.size());
  ref::DeltaMemory<Complex>(s, x.data(), b.data(), nullptr, out.data());
  Complex sum = 0;
  for (size_t i = 0; i < out.size(); ++i) sum += double(weights[i]) * out[i];
  return sum.imag() / kStep;
}

TEST_P(Delta, BackwardEqualsComplexStep) {
  for (const Inputs& in : Cases()) {
    const DeltaShape& s = in.shape;
    const auto weights = Normals(static_cast<size_t>(Rows(s) * Width(s)), 3);
    const Gradient g = Backward(s, in.proj, in.alpha_bias, weights);
    const auto proj = Converted<Complex>(in.proj), bias = Converted<Complex>(in.alpha_bias);
    // Every element of small cases, a sample of large ones; the stride is prime to visit all columns.
    const int64_t size = static_cast<int64_t>(proj.size()), step = size <= 2000 ? 1 : size / 150 | 1;
    for (int64_t i = 0; i < size; i += step) {
      const double expected = ComplexStep(s, proj, bias, weights, i);
      ASSERT_NEAR(g.proj[static_cast<size_t>(i)], expected, 5e-5 * (1 + std::abs(expected)))
          << Print(s) << " row " << i / Columns(s) << " column " << i % Columns(s);
    }
    for (int h = 0; s.delta_rule && h < s.heads; ++h) {
      const double expected = 1 + ComplexStep(s, proj, bias, weights, -h - 1);
      ASSERT_NEAR(g.bias[static_cast<size_t>(h)], expected, 1e-4 * (1 + std::abs(expected))) << Print(s);
    }
  }
}

// Gates at their ends: full forgetting, no forgetting, no writing.
TEST_P(Delta, SaturatedGatesStayFiniteAndExact) {
  Inputs in = Case(1, 50, 1, 8);
  const DeltaShape& s = in.shape;
  for (int t = 0; t < s.length; ++t) {
    float* gates = in.proj.data() + t * Columns(s) + 3 * Width(s);
    gates[0] = t % 3 == 0 ? 60.0f : t % 3 == 1 ? -60.0f : 0.3f;
    if (s.delta_rule) gates[1] = t % 5 == 0 ? -100.0f : t % 5 == 1 ? 100.0f : 0.1f;
  }
  const auto weights = Normals(static_cast<size_t>(Rows(s) * Width(s)), 3);
  const Gradient g = Backward(s, in.proj, in.alpha_bias, weights);
  const auto proj = Converted<Complex>(in.proj), bias = Converted<Complex>(in.alpha_bias);
  for (size_t i = 0; i < g.proj.size(); ++i) {
    const double expected = ComplexStep(s, proj, bias, weights, static_cast<int64_t>(i));
    ASSERT_NEAR(g.proj[i], expected, 5e-5 * (1 + std::abs(expected))) << i;
  }
}

TEST_P(Delta, ZeroKeysHaveNoGradient) {
  Inputs in = Case(1, 20, 1, 8);
  const DeltaShape& s = in.shape;
  for (int i = 0; i < 8; ++i) in.proj[static_cast<size_t>(5 * Columns(s) + i)] = 0;
  const Gradient g = Backward(s, in.proj, in.alpha_bias, Normals(static_cast<size_t>(Rows(s) * Width(s)), 3));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(g.proj[static_cast<size_t>(5 * Columns(s) + i)], 0.0f);
  for (float x : g.proj) EXPECT_TRUE(std::isfinite(x));
}

// The rows [begin, end) of every sequence.
std::vector<float> Slice(const DeltaShape& s, const std::vector<float>& x, int cols, int begin, int end) {
  std::vector<float> y;
  for (int b = 0; b < s.batch; ++b) {
    const auto at = [&](int t) { return x.begin() + (int64_t{b} * s.length + t) * cols; };
    y.insert(y.end(), at(begin), at(end));
  }
  return y;
}

TEST_P(Delta, AnySplitEqualsTheWhole) {
  for (int m : {5, 32, 64}) {
    const Inputs in = Case(2, 90, 2, m);
    std::vector<float> whole_state = in.state;
    const auto whole = Forward(in.shape, in.proj, in.alpha_bias, whole_state.data());
    for (const std::vector<int>& pieces : {std::vector<int>{1, 89}, {89, 1}, {16, 32, 42}, {45, 7, 8, 30}, {90}}) {
      std::vector<float> state = in.state;
      int begin = 0;
      for (int length : pieces) {
        DeltaShape s = in.shape;
        s.length = length;
        const auto part =
            Forward(s, Slice(in.shape, in.proj, Columns(s), begin, begin + length), in.alpha_bias, state.data());
        const auto expected = Slice(in.shape, whole, Width(s), begin, begin + length);
        for (size_t i = 0; i < part.size(); ++i) ASSERT_NEAR(part[i], expected[i], 1e-5 * (1 + std::abs(expected[i])));
        begin += length;
      }
      for (size_t i = 0; i < state.size(); ++i) {
        ASSERT_NEAR(state[i], whole_state[i], 1e-5 * (1 + std::abs(whole_state[i])));
      }
    }
  }
}

TEST_P(Delta, DecodingTokenByTokenEqualsTheWhole) {
  for (int m : {3, 32, 64}) {
    const Inputs in = Case(3, 40, 2, m);
    const auto whole = Forward(in.shape, in.proj, in.alpha_bias);
    DeltaShape s = in.shape;
    s.length = 1;
    std::vector<float> state(in.state.size(), 0.0f);
    for (int t = 0; t < in.shape.length; ++t) {
      const auto token = Forward(s, Slice(in.shape, in.proj, Columns(s), t, t + 1), in.alpha_bias, state.data());
      const auto expected = Slice(in.shape, whole, Width(s), t, t + 1);
      for (size_t i = 0; i < token.size(); ++i) ASSERT_NEAR(token[i], expected[i], 1e-5 * (1 + std::abs(expected[i])));
    }
  }
}

TEST_P(Delta, ChangingATokenChangesNothingBefore) {
  for (int m : {4, 32, 64}) {
    const Inputs in = Case(1, 70, 2, m);
    const auto before = Forward(in.shape, in.proj, in.alpha_bias);
    const size_t width = static_cast<size_t>(Width(in.shape));
    for (size_t p = 0; p < 70; p += 3) {
      auto proj = in.proj;
      for (int c = 0; c < Columns(in.shape); ++c) proj[p * static_cast<size_t>(Columns(in.shape)) + c] += 1.5f;
      const auto after = Forward(in.shape, proj, in.alpha_bias);
      for (size_t i = 0; i < p * width; ++i) ASSERT_EQ(before[i], after[i]) << p << " " << i;
      EXPECT_NE(before[p * width], after[p * width]);
    }
  }
}

TEST_P(Delta, ThreadsAndNeighboursDoNotMatter) {
  for (int m : {8, 32, 64}) {
    const Inputs in = Case(3, 50, 2, m);
    const DeltaShape& s = in.shape;
    const auto weights = Normals(static_cast<size_t>(Rows(s) * Width(s)), 3);
    SetThreadCount(1);
    const auto out = Forward(s, in.proj, in.alpha_bias);
    const Gradient g = Backward(s, in.proj, in.alpha_bias, weights);
    SetThreadCount(2);
    EXPECT_EQ(out, Forward(s, in.proj, in.alpha_bias));
    const Gradient g2 = Backward(s, in.proj, in.alpha_bias, weights);
    EXPECT_EQ(g.proj, g2.proj);
    EXPECT_EQ(g.bias, g2.bias);

    DeltaShape one = s;
    one.batch = 1;
    const auto row = [&](const std::vector<float>& x, int cols) {
      return std::vector<float>(x.begin() + s.length * cols, x.begin() + 2 * s.length * cols);
    };
    EXPECT_EQ(row(out, Width(s)), Forward(one, row(in.proj, Columns(s)), in.alpha_bias));
    EXPECT_EQ(row(g.proj, Columns(s)),
              Backward(one, row(in.proj, Columns(s)), in.alpha_bias, row(weights, Width(s))).proj);
  }
}

TEST_P(Delta, BFloat16IsCloseToFloat) {
  for (int m : {5, 32, 64}) {
    const Inputs in = Case(2, 40, 2, m);
    const DeltaShape& s = in.shape;
    const auto proj16 = Converted<BFloat16>(in.proj);
    const auto weights16 = Converted<BFloat16>(Normals(static_cast<size_t>(Rows(s) * Width(s)), 3));
    const auto proj = Converted<float>(proj16), weights = Converted<float>(weights16);
    const auto close = [](const std::vector<float>& a, const std::vector<float>& b) {
      for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6 + std::abs(b[i]) / 250) << i;
    };
    close(Converted<float>(Forward<BFloat16>(s, proj16, in.alpha_bias)), Forward(s, proj, in.alpha_bias));
    const Gradient g16 = Backward<BFloat16>(s, proj16, in.alpha_bias, weights16);
    const Gradient g = Backward(s, proj, in.alpha_bias, weights);
    close(g16.proj, g.proj);
    EXPECT_EQ(g16.bias, g.bias);
  }
}

}  // namespace
}  // namespace flashlm::kernels
