#include "kernels/vector/weighted_sum.h"

#include "kernels/blocks.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector/weighted_sum.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

void SumForward(const Matrix& a, const Matrix& b, float weight_a, float weight_b, const Matrix& y) {
  const VF wa = hn::Set(DF(), weight_a), wb = hn::Set(DF(), weight_b);
  const auto sum = [=](VF va, VF vb) { return hn::MulAdd(wa, va, hn::Mul(wb, vb)); };
  Dispatch(a.dtype, b.dtype, [&]<class TA, class TB>() {
    ForRows(y.rows, y.cols, [&](int64_t r) { MapRow(y.cols, sum, y.Row<TA>(r), a.Row<TA>(r), b.Row<TB>(r)); });
  });
}

// dots[2 * block], [2 * block + 1] = sums of dy * a and dy * b over a block of rows.
void SumBackward(const Matrix& a, const Matrix& b, float weight_a, float weight_b, const Matrix& dy, const Gradient& da,
                 const Gradient& db, float* dots, int64_t block) {
  const DF d;
  const VF wa = hn::Set(d, weight_a), wb = hn::Set(d, weight_b);
  Dispatch(a.dtype, b.dtype, [&]<class TA, class TB>() {
    ParallelBlocks(dy.rows, block, [&](int64_t begin, int64_t end) {
      VF dot_a = hn::Zero(d), dot_b = hn::Zero(d);
      for (int64_t r = begin; r < end; ++r) {
        const TA *upstream = dy.Row<TA>(r), *from_a = a.Row<TA>(r);
        const TB* from_b = b.Row<TB>(r);
        TA* to_a = da.to.Row<TA>(r);
        TB* to_b = db.to.Row<TB>(r);
        ForLanes(static_cast<size_t>(dy.cols), [&](auto lanes, size_t i) {
          const VF g = lanes.Load(upstream + i);
          dot_a = hn::MulAdd(g, lanes.Load(from_a + i), dot_a);
          dot_b = hn::MulAdd(g, lanes.Load(from_b + i), dot_b);
          const VF ga = hn::Mul(wa, g), gb = hn::Mul(wb, g);
          lanes.Store(da.accumulate ? hn::Add(ga, lanes.Load(to_a + i)) : ga, to_a + i);
          lanes.Store(db.accumulate ? hn::Add(gb, lanes.Load(to_b + i)) : gb, to_b + i);
        });
      }
      dots[2 * (begin / block)] = SumLanes(d, dot_a);
      dots[2 * (begin / block) + 1] = SumLanes(d, dot_b);
    });
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

constexpr int64_t kGradBlock = 64;  // rows per partial sum of the weights' gradients

HWY_EXPORT(SumForward);
HWY_EXPORT(SumBackward);

}  // namespace

void WeightedSum(const Matrix& a, const Matrix& b, const float* weights, const Matrix& y) {
  FLASHLM_DISPATCH(SumForward)(a, b, weights[0], weights[1], y);
}

int64_t WeightedSumGradScratch(int64_t rows) { return 2 * BlockCount(rows, kGradBlock); }

void WeightedSumGrad(const Matrix& a, const Matrix& b, const float* weights, const Matrix& dy, const Gradient& da,
                     const Gradient& db, float* dweights, float* scratch) {
  FLASHLM_DISPATCH(SumBackward)(a, b, weights[0], weights[1], dy, da, db, scratch, kGradBlock);
  for (int k = 0; k < 2; ++k) {
    double dot = 0;
    for (int64_t block = 0; block < BlockCount(dy.rows, kGradBlock); ++block) dot += scratch[2 * block + k];
    dweights[k] += static_cast<float>(dot);
  }
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
