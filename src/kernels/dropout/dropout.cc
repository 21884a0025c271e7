#include "kernels/dropout/dropout.h"

#include <algorithm>

#include "kernels/dropout/ref.h"
#include "kernels/simd.h"
#include "kernels/vector/vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dropout/dropout.cc"
#include "hwy/foreach_target.h"
#include "kernels/dropout/philox-inl.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

template <class TX, class TY>
void DropoutRow(const TX* x, const TY* base, const DropoutRule& rule, int64_t row, int64_t cols, TY* y) {
  HWY_ALIGN float factors[kDropoutGroup];
  for (int64_t first = 0; first < cols; first += kDropoutGroup) {
    DropoutGroup(rule, row, first / kDropoutGroup, factors);
    const int64_t count = std::min(kDropoutGroup, cols - first);
    if (base != nullptr) {
      const auto sum = [](VF v, VF factor, VF old) { return hn::MulAdd(v, factor, old); };
      MapRow(count, sum, y + first, x + first, factors, base + first);
    } else {
      MapRow(
          count, [](VF v, VF factor) { return hn::Mul(v, factor); }, y + first, x + first, factors);
    }
  }
}

// y = (base or 0) + dropout(x); base has y's element type.
void Drop(const Matrix& x, const Matrix* base, const DropoutRule& rule, const Matrix& y) {
  Dispatch(x.dtype, y.dtype, [&]<class TX, class TY>() {
    ForRows(y.rows, y.cols, [&](int64_t r) {
      DropoutRow(x.Row<TX>(r), base != nullptr ? base->Row<TY>(r) : nullptr, rule, r, y.cols, y.Row<TY>(r));
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Drop);

DropoutRule RuleOf(const Dropout& dropout) { return MakeDropoutRule(dropout.p, dropout.key, dropout.step); }

}  // namespace

void AddDropout(const Matrix& x, const Matrix& branch, const Dropout& dropout, const Matrix& y) {
  if (dropout.p <= 0) return Add(x, branch, y);
  FLASHLM_DISPATCH(Drop)(branch, &x, RuleOf(dropout), y);
}

void ApplyDropout(const Matrix& x, const Dropout& dropout, const Matrix& y, bool accumulate) {
  if (dropout.p <= 0) return Copy(x, y, accumulate);
  FLASHLM_DISPATCH(Drop)(x, accumulate ? &y : nullptr, RuleOf(dropout), y);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
