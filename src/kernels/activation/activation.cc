#include "kernels/activation/activation.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation/activation.cc"
#include "hwy/foreach_target.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

void SiluForward(const Matrix& x, const Matrix& y) {
  Map(
      y, [](VF v) { return hn::Mul(v, Sigmoid(DF(), v)); }, x);
}

// With s = sigmoid(x): d silu(x)/dx = s * (1 + x * (1 - s)).
void SiluBackward(const Matrix& x, const Matrix& dy, const Matrix& dx, bool accumulate) {
  const auto gradient = [](VF v, VF upstream) {
    const VF one = hn::Set(DF(), 1.0f), s = Sigmoid(DF(), v);
    return hn::Mul(upstream, hn::Mul(s, hn::MulAdd(v, hn::Sub(one, s), one)));
  };
  MapInto(accumulate, dx, gradient, x, dy);
}

HWY_INLINE VF Rectified(VF v) { return hn::Max(v, hn::Zero(DF())); }

void ReluSquaredForward(const Matrix& x, const Matrix& y) {
  Map(
      y, [](VF v) { return hn::Mul(Rectified(v), Rectified(v)); }, x);
}

void ReluSquaredBackward(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  Map(
      dx, [](VF v, VF upstream) { return hn::Mul(hn::Add(Rectified(v), Rectified(v)), upstream); }, x, dy);
}

// The halves of a gated unit's input or of its gradient.
Matrix Gate(const Matrix& x) { return x.Columns(0, x.cols / 2); }
Matrix Up(const Matrix& x) { return x.Columns(x.cols / 2, x.cols / 2); }

void SwiGluForward(const Matrix& x, const Matrix& y) {
  Map(
      y, [](VF g, VF u) { return hn::Mul(hn::Mul(g, QuickSigmoid(DF(), g)), u); }, Gate(x), Up(x));
}

void SwiGluBackward(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  const auto gradients = [](VF g, VF u, VF upstream) {
    const VF one = hn::Set(DF(), 1.0f), s = QuickSigmoid(DF(), g), weighted = hn::Mul(upstream, s);
    const VF dgate = hn::Mul(hn::Mul(weighted, u), hn::MulAdd(g, hn::Sub(one, s), one));
    return std::array{dgate, hn::Mul(weighted, g)};
  };
  Map(std::array{Gate(dx), Up(dx)}, gradients, Gate(x), Up(x), dy);
}

// The normal distribution at x: its integral to 1e-7 (Abramowitz and Stegun 7.1.26, which gives the tail of erf as a
// polynomial times the density, so small values stay accurate), and its density.
HWY_INLINE void Gauss(DF d, VF x, VF& integral, VF& density) {
  const VF one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f);
  const VF bell = Exp(d, hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f)));
  const VF t = hn::Div(one, hn::MulAdd(hn::Abs(x), hn::Set(d, 0.3275911f * 0.70710678f), one));
  VF p = hn::Set(d, 1.061405429f);
  p = hn::MulAdd(p, t, hn::Set(d, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
  const VF tail = hn::Mul(hn::Mul(half, hn::Mul(p, t)), bell);  // beyond |x|
  integral = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  density = hn::Mul(bell, hn::Set(d, 0.39894228f));
}

void GeGluForward(const Matrix& x, const Matrix& y) {
  const auto unit = [](VF g, VF u) {
    VF integral, density;
    Gauss(DF(), g, integral, density);
    return hn::Mul(hn::Mul(g, integral), u);
  };
  Map(y, unit, Gate(x), Up(x));
}

// d gelu(g)/dg = integral + g * density.
void GeGluBackward(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  const auto gradients = [](VF g, VF u, VF upstream) {
    VF integral, density;
    Gauss(DF(), g, integral, density);
    const VF dgate = hn::Mul(hn::Mul(upstream, u), hn::MulAdd(g, density, integral));
    return std::array{dgate, hn::Mul(upstream, hn::Mul(g, integral))};
  };
  Map(std::array{Gate(dx), Up(dx)}, gradients, Gate(x), Up(x), dy);
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashlm::kernels {
namespace {

HWY_EXPORT(SiluForward);
HWY_EXPORT(SiluBackward);
HWY_EXPORT(ReluSquaredForward);
HWY_EXPORT(ReluSquaredBackward);
HWY_EXPORT(SwiGluForward);
HWY_EXPORT(SwiGluBackward);
HWY_EXPORT(GeGluForward);
HWY_EXPORT(GeGluBackward);

}  // namespace

void Silu(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(SiluForward)(x, y); }

void SiluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx, bool accumulate) {
  FLASHLM_DISPATCH(SiluBackward)(x, dy, dx, accumulate);
}

void ReluSquared(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(ReluSquaredForward)(x, y); }

void ReluSquaredGrad(const Matrix& x, const Matrix& dy, const Matrix& dx) {
  FLASHLM_DISPATCH(ReluSquaredBackward)(x, dy, dx);
}

void SwiGlu(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(SwiGluForward)(x, y); }

void SwiGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx) { FLASHLM_DISPATCH(SwiGluBackward)(x, dy, dx); }

void GeGlu(const Matrix& x, const Matrix& y) { FLASHLM_DISPATCH(GeGluForward)(x, y); }

void GeGluGrad(const Matrix& x, const Matrix& dy, const Matrix& dx) { FLASHLM_DISPATCH(GeGluBackward)(x, dy, dx); }

}  // namespace flashlm::kernels
#endif  // HWY_ONCE
