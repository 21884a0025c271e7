#include "kernels/optimizer/optimizer.h"

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

void Sweep(const AdamWStep& step, int64_t n, float* theta, float* gradient, float* m, float* v) {
  const AdamWFactors f = Factors(step);
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
      lanes.Store(hn::MulSub(hn::Set(d, f.keep), lanes.Load(theta + i), update), theta + i);
      lanes.Store(first, m + i);
      lanes.Store(second, v + i);
      lanes.Store(hn::Zero(d), gradient + i);
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Sweep);

}  // namespace

void AdamW(const AdamWStep& step, int64_t n, float* theta, float* gradient, float* m, float* v) {
  FLASHLM_DISPATCH(Sweep)(step, n, theta, gradient, m, v);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
