#include "kernels/loss/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/loss/ref.h"

namespace flashlm::kernels {
namespace {

using Complex = std::complex<double>;

std::vector<float> Normals(int64_t n, float scale, uint64_t seed) {
  Rng rng(seed, Purpose::kTest);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = scale * static_cast<float>(rng.Normal());
  return x;
}

Matrix View(std::vector<float>& x, int rows, int cols) { return {x.data(), DType::kF32, rows, cols, cols}; }
Matrix View(std::vector<BFloat16>& x, int rows, int cols) { return {x.data(), DType::kBF16, rows, cols, cols}; }

struct Result {
  std::vector<float> ce, entropy, gradient;
  std::vector<int32_t> argmax;
};

template <class T = float>
Result Compute(const LossShape& shape, std::vector<float> logits, const std::vector<int32_t>& targets) {
  const int rows = static_cast<int>(targets.size()), cols = static_cast<int>(logits.size()) / rows;
  Result r{std::vector<float>(targets.size(), NAN), std::vector<float>(targets.size(), NAN), {}, targets};
  std::fill(r.argmax.begin(), r.argmax.end(), -7);
  std::vector<T> gradient(logits.size(), FromFloat<T>(NAN));
  SoftmaxCrossEntropy(shape, View(logits, rows, cols), targets.data(), r.ce.data(), r.entropy.data(), r.argmax.data(),
                      View(gradient, rows, cols));
  for (T g : gradient) r.gradient.push_back(ToFloat(g));
  return r;
}

std::vector<int32_t> Targets(int rows, int cols) {
  std::vector<int32_t> targets(static_cast<size_t>(rows));
  for (int r = 0; r < rows; ++r) targets[static_cast<size_t>(r)] = (r * 7919 + cols - 1) % cols;
  return targets;
}

struct Case {
  int cols;
  float logit_scale;
  LossShape shape;
};
const Case kCases[] = {
    {1, 1, {0, 0, 1}},          {2, 1, {0, 0.1f, 1}}, {17, 3, {0, 0.01f, 0.5f}},     {64, 1, {0, 0, 1}},
    {67, 2, {0, 1, 1}},         {100, 5, {3, 0, 1}},  {133, 30, {30, 0.2f, 0.125f}}, {131, 0.1f, {15, 0.01f, 1}},
    {4096, 4, {0, 0.01f, 0.1f}}};

// Part of the logits' gradient is the mixture's, the rest that of the softmax alone; the gate's is the mixture's.
TEST(SoftmaxCrossEntropy, ASecondOpinionMayLeaveTheSoftmaxItsOwnGradient) {
  constexpr int kRows = 5, kCols = 37;
  const LossShape shape{15, 0, 0.5f};
  const auto targets = Targets(kRows, kCols);
  const std::vector<float> gates = Normals(kRows, 1, 3), log_probs = {-0.1f, -1, -2, -4, -8};
  const auto compute = [&](float joint, std::vector<float>& dgates) {
    std::vector<float> logits = Normals(int64_t{kRows} * kCols, 3, 4), gradient(logits.size());
    dgates.resize(kRows);
    SoftmaxCrossEntropy(shape, View(logits, kRows, kCols), targets.data(), nullptr, nullptr, nullptr,
                        View(gradient, kRows, kCols), {}, {gates.data(), log_probs.data(), dgates.data(), joint});
    return gradient;
  };
  std::vector<float> gate_none, gate_half, gate_all;
  const auto none = compute(0, gate_none), half = compute(0.5f, gate_half), all = compute(1, gate_all);
  const auto alone = Compute(shape, Normals(int64_t{kRows} * kCols, 3, 4), targets).gradient;
  EXPECT_EQ(none, alone);
  double largest = 0;
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_NEAR(half[i], 0.5f * (none[i] + all[i]), 1e-7);
    largest = std::max(largest, std::abs(double{none[i]} - all[i]));
  }
  EXPECT_GT(largest, 0.01);
  EXPECT_EQ(gate_none, gate_all);
  EXPECT_EQ(gate_half, gate_all);
}

TEST(SoftmaxCrossEntropy, EqualsReferenceAndItsComplexStep) {
  constexpr int kRows = 3;
  for (const Case& c : kCases) {
    const auto logits = Normals(int64_t{kRows} * c.cols, c.logit_scale, 1);
    const auto targets = Targets(kRows, c.cols);
    const Result r = Compute(c.shape, logits, targets);
    std::vector<Complex> z(logits.begin(), logits.end()), ce(kRows), entropy(kRows);
    ref::SoftmaxCrossEntropy(c.shape.softcap, z.data(), targets.data(), kRows, c.cols, ce.data(), entropy.data());
    for (size_t i = 0; i < kRows; ++i) {
      EXPECT_NEAR(r.ce[i], ce[i].real(), 1e-5 * (1 + std::abs(ce[i]))) << c.cols;
      EXPECT_NEAR(r.entropy[i], entropy[i].real(), 1e-5 * (1 + std::abs(entropy[i]))) << c.cols;
    }
    constexpr double kStep = 1e-30;
    for (size_t i = 0; i<z.size(); i += z.size()> 2000 ? 97 : 1) {
      z[i] += Complex(0, kStep);
      ref::SoftmaxCrossEntropy(c.shape.softcap, z.data(), targets.data(), kRows, c.cols, ce.data(), entropy.data());
      z[i] = z[i].real();
      const size_t row = i / static_cast<size_t>(c.cols);
      const double objective = (ce[row] - double(c.shape.entropy_weight) * entropy[row]).imag() / kStep;
      EXPECT_NEAR(r.gradient[i], c.shape.gradient_scale * objective, 2e-6) << c.cols << " " << i;
    }
  }
}

TEST(SoftmaxCrossEntropy, FindsTheFirstMaximum) {
  for (int cols : {1, 5, 16, 100}) {
    for (int at = 0; at < cols; ++at) {
      std::vector<float> logits = Normals(cols, 1, 2);
      logits[static_cast<size_t>(at)] = logits[static_cast<size_t>(cols - 1)] = 50;
      EXPECT_EQ(Compute({0, 0, 1}, logits, {0}).argmax[0], at);
    }
  }
}

TEST(SoftmaxCrossEntropy, ExtremeLogitsStayFinite) {
  for (float softcap : {0.0f, 50.0f}) {
    for (int target : {0, 1, 2}) {
      std::vector<float> logits = Normals(50, 1, 3);
      logits[0] = 1e4f;
      logits[1] = -1e4f;
      const Result r = Compute({softcap, 0.1f, 1}, logits, {target});
      EXPECT_TRUE(std::isfinite(r.ce[0]));
      EXPECT_TRUE(std::isfinite(r.entropy[0]));
      EXPECT_GE(r.entropy[0], 0.0f);
      for (float g : r.gradient) EXPECT_TRUE(std::isfinite(g));
      if (softcap == 0 && target == 1) {
        EXPECT_EQ(r.ce[0], 2e4f);
      }
      if (softcap == 0 && target == 0) {
        EXPECT_EQ(r.ce[0], 0.0f);
      }
    }
    std::vector<float> equal(50, -1e4f);
    const Result r = Compute({softcap, 0.1f, 1}, equal, {3});
    EXPECT_NEAR(r.ce[0], std::log(50.0f), 1e-5);
    EXPECT_NEAR(r.entropy[0], std::log(50.0f), 1e-5);
  }
}

TEST(SoftmaxCrossEntropy, OutputsAreOptional) {
  std::vector<float> logits = Normals(3 * 40, 1, 4), ce(3);
  const auto targets = Targets(3, 40);
  const Result r = Compute({0, 0, 1}, logits, targets);
  SoftmaxCrossEntropy({}, View(logits, 3, 40), targets.data(), ce.data(), nullptr, nullptr, {});
  EXPECT_EQ(ce, r.ce);
}

// Rows: another token than the target, the target itself, none, and one whose probability is beyond 0.99.
TEST(SoftmaxCrossEntropy, UnlikelyTokensEqualReferenceAndItsComplexStep) {
  constexpr int kRows = 4, kCols = 67;
  for (const LossShape& shape : {LossShape{0, 0, 1}, LossShape{5, 0.1f, 0.5f}, LossShape{0, 0.3f, 0.25f}}) {
    std::vector<float> logits = Normals(kRows * kCols, 2, 6);
    logits[3 * kCols + 9] = shape.softcap > 0 ? 1e4f : 20;
    const std::vector<int32_t> targets = {3, 5, 66, 1}, tokens = {66, 5, -1, 9};
    std::vector<Complex> z(logits.begin(), logits.end());
    std::vector<float> ce(kRows), entropy(kRows), nats(kRows), gradient(logits.size());
    const Unlikelihood unlikely{tokens.data(), 0.7f, nats.data()};
    SoftmaxCrossEntropy(shape, View(logits, kRows, kCols), targets.data(), ce.data(), entropy.data(), nullptr,
                        View(gradient, kRows, kCols), unlikely);
    const auto objective = [&](size_t row, double* u) {
      Complex* z_row = z.data() + row * kCols;
      Complex ce_row, entropy_row;
      ref::SoftmaxCrossEntropy(shape.softcap, z_row, &targets[row], 1, kCols, &ce_row, &entropy_row);
      const Complex term = ref::Unlikelihood(shape.softcap, z_row, tokens[row], kCols);
      if (u != nullptr) *u = term.real();
      return ce_row - double(shape.entropy_weight) * entropy_row + 0.7 * term;
    };
    for (size_t i = 0; i < z.size(); ++i) {
      z[i] += Complex(0, 1e-30);
      const double slope = objective(i / kCols, nullptr).imag() / 1e-30;
      z[i] = z[i].real();
      EXPECT_NEAR(gradient[i], shape.gradient_scale * slope, 4e-6) << i;
    }
    for (size_t row = 0; row < kRows; ++row) {
      double u = 0;
      objective(row, &u);
      EXPECT_NEAR(nats[row], u, 1e-5) << row;
    }
  }
}

TEST(SoftmaxCrossEntropy, RowsWithoutATargetAreZero) {
  const auto logits = Normals(3 * 50, 2, 7);
  const Result whole = Compute({0, 0.1f, 1}, logits, {4, 5, 6}), gap = Compute({0, 0.1f, 1}, logits, {4, -1, 6});
  for (size_t r : {0u, 2u}) EXPECT_EQ(gap.ce[r], whole.ce[r]);
  EXPECT_EQ(gap.ce[1], 0);
  EXPECT_EQ(gap.entropy[1], 0);
  EXPECT_EQ(gap.argmax[1], 0);
  for (size_t i = 0; i < gap.gradient.size(); ++i) {
    EXPECT_EQ(gap.gradient[i], i / 50 == 1 ? 0.0f : whole.gradient[i]) << i;
  }
}

TEST(SoftmaxCrossEntropy, RowsWithoutATargetHaveNoUnlikelyTokenEither) {
  std::vector<float> logits = Normals(2 * 50, 2, 7), nats(2, NAN);
  const std::vector<int32_t> targets = {-1, 4}, tokens = {9, 9};
  SoftmaxCrossEntropy({0, 0, 1}, View(logits, 2, 50), targets.data(), nullptr, nullptr, nullptr, {},
                      {tokens.data(), 0.7f, nats.data()});
  EXPECT_EQ(nats[0], 0);
  EXPECT_GT(nats[1], 0);
}

TEST(SoftmaxCrossEntropy, BFloat16GradientIsTheRoundedOne) {
  const auto logits = Normals(5 * 77, 2, 5);
  const auto targets = Targets(5, 77);
  const Result full = Compute({0, 0.01f, 1}, logits, targets);
  const Result half = Compute<BFloat16>({0, 0.01f, 1}, logits, targets);
  for (size_t i = 0; i < full.gradient.size(); ++i) {
    EXPECT_EQ(half.gradient[i], ToFloat(ToBFloat16(full.gradient[i]))) << i;
  }
}

TEST(SoftmaxCrossEntropy, ThreadsAndNeighboursDoNotMatter) {
  const int threads = ThreadCount();
  const auto logits = Normals(33 * 100, 2, 6);
  const auto targets = Targets(33, 100);
  SetThreadCount(1);
  const Result one = Compute({20, 0.01f, 1}, logits, targets);
  SetThreadCount(2);
  const Result two = Compute({20, 0.01f, 1}, logits, targets);
  SetThreadCount(threads);
  EXPECT_EQ(one.ce, two.ce);
  EXPECT_EQ(one.entropy, two.entropy);
  EXPECT_EQ(one.argmax, two.argmax);
  EXPECT_EQ(one.gradient, two.gradient);
  const Result last = Compute({20, 0.01f, 1}, {logits.end() - 100, logits.end()}, {targets.back()});
  EXPECT_EQ(last.ce[0], one.ce[32]);
  EXPECT_EQ(last.entropy[0], one.entropy[32]);
  EXPECT_EQ(last.argmax[0], one.argmax[32]);
  EXPECT_EQ(last.gradient, std::vector<float>(one.gradient.end() - 100, one.gradient.end()));
}

TEST(LogSoftmax, EqualsReference) {
  for (float softcap :
       {0.0f, 10.0f, 1000.0f}) {  // under the last one tanh's argument is small, and its error times 1000
    for (int cols : {1, 15, 64, 4096}) {
      constexpr int kRows = 10;  // two tasks
      std::vector<float> logits = Normals(kRows * cols, 5, 7);
      std::vector<double> expected(logits.begin(), logits.end());
      LogSoftmax(softcap, View(logits, kRows, cols));
      for (int r = 0; r < kRows; ++r) ref::LogSoftmaxRow(softcap, expected.data() + r * cols, cols);
      for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-5) << cols << " " << i;
    }
  }
}

TEST(SumOfPowers, IsThatOfTheSoftmax) {
  for (const int cols : {1, 5, 64, 4093}) {
    std::vector<float> z = Normals(cols, 3, 12);
    const float largest = *std::max_element(z.begin(), z.end());
    double expected = 0;
    for (const float v : z) expected += std::exp(double{v} - largest);
    EXPECT_NEAR(SumOfPowers(z.data(), cols, largest), expected, 1e-6 * expected) << cols;
  }
}

TEST(LogSoftmax, ALargeMaximumCostsNoDigits) {
  std::vector<float> logits{1e4f, 1e4f, 1e4f, -1e4f};
  LogSoftmax(0, View(logits, 1, 4));
  EXPECT_NEAR(logits[0], -std::log(3.0f), 1e-6);
  EXPECT_NEAR(logits[3], -2e4 - std::log(3.0), 1e-2);
}

TEST(MixLogProbabilities, EqualsTheDefinition) {
  for (int cols : {1, 15, 64, 4096}) {
    constexpr int kRows = 5;
    const float gates[kRows] = {-20, -1.5f, 0, 0.7f, 30};
    std::vector<float> log_probs = Normals(kRows * cols, 20, 11), others = Normals(kRows * cols, 6, 12);
    for (float& z : log_probs) z = -std::abs(z);
    for (float& q : others) q = std::exp(-std::abs(q));
    const std::vector<float> own = log_probs;
    MixLogProbabilities(View(log_probs, kRows, cols), View(others, kRows, cols), gates);
    for (int r = 0; r < kRows; ++r) {
      const double gate = 1 / (1 + std::exp(-double{gates[r]}));
      for (int v = 0; v < cols; ++v) {
        const auto i = static_cast<size_t>(r * cols + v);
        const double expected = std::log((1 - gate) * std::exp(double{own[i]}) + gate * double{others[i]});
        EXPECT_NEAR(log_probs[i], expected, 2e-6 * (1 + std::abs(expected))) << cols << " " << r << " " << v;
      }
    }
  }
}

TEST(ValueLoss, EqualsReferenceAndItsComplexStep) {
  for (int length : {8, 9, 30}) {
    constexpr int kBatch = 2, kHorizon = 8;
    const auto ce = Normals(kBatch * length, 1, 8), values = Normals(kBatch * length, 1, 9);
    const std::vector<double> ce64(ce.begin(), ce.end());
    std::vector<Complex> v(values.begin(), values.end());
    std::vector<float> gradient(values.size(), NAN);
    const double loss = ValueLoss(kBatch, length, kHorizon, ce.data(), values.data(), 0.5f, gradient.data(), nullptr);
    EXPECT_NEAR(loss, ref::ValueLoss(kBatch, length, kHorizon, ce64.data(), v.data()).real(), 1e-9);
    for (size_t i = 0; i < v.size(); ++i) {
      v[i] += Complex(0, 1e-30);
      const double expected = ref::ValueLoss(kBatch, length, kHorizon, ce64.data(), v.data()).imag() / 1e-30;
      v[i] = v[i].real();
      EXPECT_NEAR(gradient[i], 0.5 * expected, 1e-7) << i;
    }
  }
}

TEST(ValueLoss, IsZeroBelowTheHorizon) {
  const std::vector<float> ce(10, 1.0f), values(10, 2.0f);
  std::vector<float> gradient(10, NAN);
  double correlation = NAN;
  EXPECT_EQ(ValueLoss(2, 5, 8, ce.data(), values.data(), 1, gradient.data(), &correlation), 0);
  EXPECT_EQ(correlation, 0);
  EXPECT_EQ(gradient, std::vector<float>(10, 0.0f));
}

TEST(ValueLoss, CorrelationIsPearsons) {
  const int length = 20, horizon = 4;
  auto ce = Normals(length, 1, 10);
  std::vector<float> tau(length, 0.0f);
  for (int t = 0; t + horizon <= length; ++t) {
    for (int i = 0; i < horizon; ++i) tau[static_cast<size_t>(t)] += ce[static_cast<size_t>(t + i)] / horizon;
  }
  double correlation = 0;
  std::vector<float> values(length);
  for (float slope : {2.0f, -3.0f}) {
    for (size_t t = 0; t < values.size(); ++t) values[t] = slope * tau[t] + 1;
    ValueLoss(1, length, horizon, ce.data(), values.data(), 1, nullptr, &correlation);
    EXPECT_NEAR(correlation, slope > 0 ? 1 : -1, 1e-6);
  }
  values.assign(length, 0.7f);
  ValueLoss(1, length, horizon, ce.data(), values.data(), 1, nullptr, &correlation);
  EXPECT_EQ(correlation, 0);
  ce.assign(length, 0.3f);
  ValueLoss(1, length, horizon, ce.data(), tau.data(), 1, nullptr, &correlation);
  EXPECT_EQ(correlation, 0);
}

}  // namespace
}  // namespace flashlm::kernels
