#include "kernels/optimizer/muon.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optimizer/muon.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

constexpr int64_t kMuonBlock = 16384;

// `own` is a variable although it is 1: a constant would let the compiler fuse the product into the sum, in some builds
// and not in others.
void Momentum(float mu, float own, int64_t n, float* gradient, float* moment, float* update) {
  ParallelBlocks(n, kMuonBlock, [&](int64_t begin, int64_t end) {
    const DF d;
    const VF by_mu = hn::Set(d, mu), by_own = hn::Set(d, own);
    ForLanes(static_cast<size_t>(end - begin), [&](auto lanes, size_t k) {
      const size_t i = static_cast<size_t>(begin) + k;
      const VF g = lanes.Load(gradient + i);
      const VF m = hn::MulAdd(by_mu, lanes.Load(moment + i), g);
      lanes.Store(m, moment + i);
      lanes.Store(hn::MulAdd(by_own, g, hn::Mul(by_mu, m)), update + i);
      lanes.Store(hn::Zero(d), gradient + i);
    });
  });
}

void Polynomial(float a, float b, float c, const Matrix& gram, const Matrix& square) {
  const VF by_b = hn::Set(DF(), b), by_c = hn::Set(DF(), c);
  const auto sum = [=](VF x, VF y) { return hn::MulAdd(by_c, y, hn::Mul(by_b, x)); };
  Dispatch(gram.dtype, [&]<class T>() {
    ForRows(gram.rows, gram.cols, [&](int64_t r) {
      const T* x = gram.Row<T>(r);
      T* y = square.Row<T>(r);
      const float diagonal = a + b * ToFloat(x[r]) + c * ToFloat(y[r]);
      MapRow(gram.cols, sum, y, x, y);
      y[r] = FromFloat<T>(diagonal);
    });
  });
}

void RowScales(const Matrix& gram, float* scales) {
  constexpr float kTiny = 1e-30f;
  const DF d;
  Dispatch(gram.dtype, [&]<class T>() {
    ForRows(gram.rows, gram.cols, [&](int64_t r) {
      const T* row = gram.Row<T>(r);
      VF sum = hn::Zero(d);
      ForLanes(static_cast<size_t>(gram.cols),
               [&](auto lanes, size_t i) { sum = hn::Add(sum, hn::Abs(lanes.Load(row + i))); });
      scales[r] = 1.0f / std::sqrt(std::max(SumLanes(d, sum), kTiny));
    });
  });
}

void SquaresOfLines(const Matrix& x, bool by_row, float* sums) {
  const DF d;
  const auto cols = static_cast<size_t>(x.cols);
  if (!by_row) std::fill(sums, sums + cols, 0.0f);
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.Row<float>(r);
    if (by_row) {
      VF sum = hn::Zero(d);
      ForLanes(cols, [&](auto lanes, size_t i) {
        const VF v = lanes.Load(row + i);
        sum = hn::MulAdd(v, v, sum);
      });
      sums[r] = SumLanes(d, sum);
    } else {
      MapRow(
          x.cols, [](VF sum, VF v) { return hn::MulAdd(v, v, sum); }, sums, sums, row);
    }
  }
}

void StepWithCautiousDecay(float rate, const float* update, float keep, int64_t n, float* values) {
  const DF d;
  const VF by_rate = hn::Set(d, rate), decayed = hn::Set(d, keep), one = hn::Set(d, 1.0f);
  const auto step = [=](VF u, VF v) {
    const VF by_keep = hn::IfThenElse(hn::Gt(hn::Mul(u, v), hn::Zero(d)), decayed, one);
    return hn::NegMulAdd(by_rate, u, hn::Mul(by_keep, v));
  };
  ParallelBlocks(n, kMuonBlock, [&](int64_t begin, int64_t end) {
    MapRow(end - begin, step, values + begin, update + begin, values + begin);
  });
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(Momentum);
HWY_EXPORT(Polynomial);
HWY_EXPORT(RowScales);
HWY_EXPORT(SquaresOfLines);
HWY_EXPORT(StepWithCautiousDecay);

}  // namespace

void NesterovMomentum(float mu, float own, int64_t n, float* gradient, float* moment, float* update) {
  FLASHLM_DISPATCH(Momentum)(mu, own, n, gradient, moment, update);
}

void QuinticPolynomial(float a, float b, float c, const Matrix& gram, const Matrix& square) {
  FLASHLM_DISPATCH(Polynomial)(a, b, c, gram, square);
}

void AolScales(const Matrix& gram, float* scales) { FLASHLM_DISPATCH(RowScales)(gram, scales); }

void LineSquares(const Matrix& x, bool by_row, float* sums) { FLASHLM_DISPATCH(SquaresOfLines)(x, by_row, sums); }

void CautiousStep(float rate, const float* update, float keep, int64_t n, float* values) {
  FLASHLM_DISPATCH(StepWithCautiousDecay)(rate, update, keep, n, values);
}

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
