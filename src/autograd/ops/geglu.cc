#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void GeGluBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x);
  kernels::GeGluGrad(x.matrix(), tape.GradientOf(node.output), dx.matrix());
}

std::vector<OpCase> GeGluCases() {
  return {OpCase::Make(
      "5x(2*21)", 1, 5, {{5, 42, false, 2}},
      [](Tape& tape, const std::vector<Operand>& in) { return GeGlu(tape, in[0].tensor); },
      [](const auto& in, auto& out) { kernels::ref::GeGlu(in[0].data(), out.rows, out.cols, out.data()); })};
}

}  // namespace

extern const OpDef kGeGluOp;
const OpDef kGeGluOp("geglu", GeGluBackward, GeGluCases);

Tensor GeGlu(Tape& tape, const Tensor& gate_up) {
  OpTimer timer(tape, kGeGluOp);
  FLASHLM_CHECK(gate_up.cols % 2 == 0, "gate and up projection of {} columns", gate_up.cols);
  const Tensor y = tape.New(gate_up.rows, gate_up.cols / 2, gate_up.dtype);  // [N,F]
  kernels::GeGlu(gate_up.matrix(), y.matrix());
  tape.Record({&kGeGluOp, {gate_up}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
