#include "kernels/gate/gate.h"

#include <cmath>

#include "base/parallel.h"
#include "kernels/gate/ref.h"
#include "tests/kernels/strided_matrix.h"

namespace flashlm::kernels {
namespace {

using C = std::complex<double>;
using Gate = Elements;

TEST_P(Gate, GateMixAndItsGradientEqualTheReference) {
  StridedMatrix gate(dtype_, kRows, cols_, 1), a(dtype_, kRows, cols_, 2), b(dtype_, kRows, cols_, 3);
  StridedMatrix y(dtype_, kRows, cols_, 4), dy(dtype_, kRows, cols_, 5);
  StridedMatrix dgate(dtype_, kRows, cols_, 6), da(dtype_, kRows, cols_, 7), db(dtype_, kRows, cols_, 8);
  const int n = kRows * cols_;
  std::vector<double> expected(static_cast<size_t>(n));
  ref::GateMix(gate.Dense().data(), a.Dense().data(), b.Dense().data(), n, expected.data());
  GateMix(gate.View(), a.View(), b.View(), y.View());
  ExpectEqual(y, expected);

  GateMixGrad(gate.View(), a.View(), b.View(), dy.View(), dgate.View(), da.View(), db.View());
  const auto vg = gate.Dense<C>(), va = a.Dense<C>(), vb = b.Dense<C>();
  ExpectEqual(
      dgate, ComplexStep(vg, dy.Dense(), [&](auto* in, auto* out) { ref::GateMix(in, va.data(), vb.data(), n, out); }));
  ExpectEqual(
      da, ComplexStep(va, dy.Dense(), [&](auto* in, auto* out) { ref::GateMix(vg.data(), in, vb.data(), n, out); }));
  ExpectEqual(
      db, ComplexStep(vb, dy.Dense(), [&](auto* in, auto* out) { ref::GateMix(vg.data(), va.data(), in, n, out); }));
}

TEST_P(Gate, SigmoidGateAndItsGradientEqualTheReference) {
  const int n = kRows * cols_;
  for (const DType other : {DType::kF32, DType::kBF16}) {  // of x
    StridedMatrix gate(dtype_, kRows, cols_, 1), x(other, kRows, cols_, 2), y(other, kRows, cols_, 3);
    StridedMatrix dy(other, kRows, cols_, 4), dgate(dtype_, kRows, cols_, 5), dx(other, kRows, cols_, 6);
    std::vector<double> expected(static_cast<size_t>(n));
    ref::SigmoidGate(gate.Dense().data(), x.Dense().data(), n, expected.data());
    SigmoidGate(gate.View(), x.View(), y.View());
    ExpectEqual(y, expected);

    const auto vg = gate.Dense<C>(), vx = x.Dense<C>();
    const std::vector<double> to_gate =
        ComplexStep(vg, dy.Dense(), [&](auto* in, auto* out) { ref::SigmoidGate(in, vx.data(), n, out); });
    std::vector<double> to_x =
        ComplexStep(vx, dy.Dense(), [&](auto* in, auto* out) { ref::SigmoidGate(vg.data(), in, n, out); });
    std::vector<double> sum = dx.Dense();
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += to_x[i];
    SigmoidGateGrad(gate.View(), x.View(), dy.View(), dgate.View(), dx.View(), /*accumulate=*/true);
    ExpectEqual(dgate, to_gate);
    ExpectEqual(dx, sum);
    SigmoidGateGrad(gate.View(), x.View(), dy.View(), dgate.View(), dx.View(), /*accumulate=*/false);
    ExpectEqual(dgate, to_gate);
    ExpectEqual(dx, to_x);
  }
}

TEST_P(Gate, AddGatedAndItsGradientEqualTheReference) {
  constexpr int kManyRows = 150;  // three blocks of the gate's gradient
  const int n = kManyRows * cols_;
  StridedMatrix x(DType::kF32, kManyRows, cols_, 1), branch(dtype_, kManyRows, cols_, 2);
  StridedMatrix y(DType::kF32, kManyRows, cols_, 3), dy(DType::kF32, kManyRows, cols_, 4);
  StridedMatrix dbranch(dtype_, kManyRows, cols_, 5);
  const float gate = 0.7f;
  std::vector<double> expected(static_cast<size_t>(n));
  ref::AddGated(x.Dense().data(), branch.Dense().data(), double{gate}, n, expected.data());
  AddGated(x.View(), branch.View(), &gate, y.View());
  ExpectEqual(y, expected);

  float dgate = 2;
  std::vector<float> scratch(static_cast<size_t>(AddGatedGradScratch(kManyRows)));
  AddGatedGrad(branch.View(), &gate, dy.View(), dbranch.View(), &dgate, scratch.data());
  const double open = ref::Sigmoid(double{gate});
  std::vector<double> to_branch = dy.Dense();
  for (double& v : to_branch) v *= open;
  ExpectEqual(dbranch, to_branch);
  const auto vx = x.Dense<C>(), vb = branch.Dense<C>();
  const double to_gate = ComplexStep(std::vector<C>{C(gate)}, dy.Dense(),
                                     [&](auto* in, auto* out) { ref::AddGated(vx.data(), vb.data(), *in, n, out); })[0];
  EXPECT_NEAR(dgate, 2 + to_gate, 1e-5 * std::sqrt(n) * 4);
}

INSTANTIATE_TEST_SUITE_P(Widths, Gate, kElementsCases, Elements::Name);

}  // namespace
}  // namespace flashlm::kernels
