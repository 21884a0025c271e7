#include "kernels/optimizer/optimizer.h"

#include <array>
#include <cmath>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optimizer/optimizer.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

// A step's constants in the form the sweep uses: theta <- theta * keep - m * rate / (sqrt(v) * root + eps).
struct AdamWFactors {
  float beta1, beta2, new1, new2, keep, rate, root, eps, gradient_scale;
};

AdamWFactors Factors(const AdamWStep& step) {
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.step));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.step));
  const auto f = [](double x) { return static_cast<float>(x); };
  return {.beta1 = f(step.beta1),
          .beta2 = f(step.beta2),
          .new1 = f(1 - step.beta1),
          .new2 = f(1 - step.beta2),
          .keep = f(1 - step.lr * step.weight_decay),
          .rate = f(step.lr / correction1),
          .root = f(1 / std::sqrt(correction2)),
          .eps = f(step.eps),
          .gradient_scale = f(step.gradient_scale)};
}

template <bool kCautious>
void SweepWith(const AdamWFactors& f, int64_t n, float* theta, float* gradient, float* m, float* v) {
  constexpr int64_t kBlock = 16384;
  ParallelBlocks(n, kBlock, [&](int64_t begin, int64_t end) {
    const DF d;
    ForLanes(static_cast<size_t>(end - begin), [&](auto lanes, size_t k) {
      const size_t i = static_cast<size_t>(begin) + k;
      const VF g = hn::Mul(lanes.Load(gradient + i), hn::Set(d, f.gradient_scale));
      const VF first = hn::MulAdd(hn::Set(d, f.beta1), lanes.Load(m + i), hn::Mul(hn::Set(d, f.new1), g));
      const VF second = hn::MulAdd(hn::Set(d, f.beta2), lanes.Load(v + i), hn::Mul(hn::Mul(hn::Set(d, f.new2), g), g));
      const VF divisor = hn::MulAdd(hn::Sqrt(second), hn::Set(d, f.root), hn::Set(d, f.eps));
      const VF update = hn::Div(hn::Mul(hn::Set(d, f.rate), first), divisor);
      const VF value = lanes.Load(theta + i);
      VF keep = hn::Set(d, f.keep);
      if (kCautious) keep = hn::IfThenElse(hn::Gt(hn::Mul(update, value), hn::Zero(d)), keep, hn::Set(d, 1.0f));
      lanes.Store(hn::MulSub(keep, value, update), theta + i);
      lanes.Store(first, m + i);
      lanes.Store(second, v + i);
      lanes.Store(hn::Zero(d), gradient + i);
    });
  });
}

void Sweep(const AdamWStep& step, int64_t n, float* theta, float* gradient, float* m, float* v) {
  const AdamWFactors factors = Factors(step);
  if (step.cautious) {
    SweepWith<true>(factors, n, theta, gradient, m, v);
  } else {
    SweepWith<false>(factors, n, theta, gradient, m, v);
  }
}

HWY_INLINE float MeanSquare(const float* x, int64_t n) {
  VF sum = hn::Zero(DF());
  ForLanes(static_cast<size_t>(n), [&](auto lanes, size_t i) {
    const VF value = lanes.Load(x + i);
    sum = hn::MulAdd(value, value, sum);
  });
  return SumLanes(DF(), sum) / static_cast<float>(n);
}

void SweepRows(const AdamRowsStep& step, const int32_t* rows, int64_t count, int64_t cols, const float* gradients,
               float* values, const AdamRowsState& state) {
  const bool sums = step.beta2 == 1;
  const auto now = static_cast<double>(step.step);
  const double correction1 = 1 - std::pow(step.beta1, now), correction2 = sums ? 1 : 1 - std::pow(step.beta2, now);
  const auto scale = static_cast<float>(step.gradient_scale);
  const auto new1 = static_cast<float>(1 - step.beta1), new2 = sums ? 1 : static_cast<float>(1 - step.beta2);
  const auto root = static_cast<float>(1 / std::sqrt(correction2)), eps = static_cast<float>(step.eps);
  ForRows(count, cols, [&](int64_t i) {
    const int64_t row = rows[i];
    const float* gradient = gradients + i * cols;
    float keep1 = 0, keep2 = 1;
    if (state.at != nullptr) {
      const double passed = now - static_cast<double>(state.at[row]);
      keep1 = static_cast<float>(std::pow(step.beta1, passed));
      keep2 = static_cast<float>(std::pow(step.beta2, passed));
      state.at[row] = static_cast<float>(step.step);
    }
    const float second = keep2 * state.v[row] + new2 * (scale * scale) * MeanSquare(gradient, cols);
    state.v[row] = second;
    const auto rate = static_cast<float>(step.lr / correction1) / (std::sqrt(second) * root + eps);
    const VF g_rate = hn::Set(DF(), -rate * scale);
    float* theta = values + row * cols;
    if (state.m == nullptr) {
      MapRow(
          cols, [=](VF g, VF x) { return hn::MulAdd(g_rate, g, x); }, theta, gradient, theta);
      return;
    }
    const VF keep = hn::Set(DF(), keep1), add = hn::Set(DF(), new1 * scale), m_rate = hn::Set(DF(), -rate);
    float* m = state.m + row * cols;
    MapRow(
        cols,
        [=](VF g, VF m, VF x) {
          const VF first = hn::MulAdd(keep, m, hn::Mul(add, g));
          return std::array<VF, 2>{hn::MulAdd(m_rate, first, x), first};
        },
        std::array<float*, 2>{theta, m}, gradient, m, theta);
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Sweep);
HWY_EXPORT(SweepRows);

}  // namespace

void AdamW(const AdamWStep& step, int64_t n, float* theta, float* gradient, float* m, float* v) {
  FLASHLM_DISPATCH(Sweep)(step, n, theta, gradient, m, v);
}

void AdamRows(const AdamRowsStep& step, const int32_t* rows, int64_t count, int64_t cols, const float* gradients,
              float* values, const AdamRowsState& state) {
  FLASHLM_DISPATCH(SweepRows)(step, rows, count, cols, gradients, values, state);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
