#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void SwiGluBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x);
  kernels::SwiGluGrad(x.matrix(), tape.GradientOf(node.output), dx.matrix());
}

std::vector<OpCase> SwiGluCases() {
  return {OpCase::Make(
      "5x(2*9)", 1, 5, {{5, 18}}, [](Tape& tape, const std::vector<Operand>& in) { return SwiGlu(tape, in[0].tensor); },
      [](const auto& in, auto& out) { kernels::ref::SwiGlu(in[0].data(), out.rows, out.cols, out.data()); })};
}

}  // namespace

extern const OpDef kSwiGluOp;
const OpDef kSwiGluOp("swiglu", SwiGluBackward, SwiGluCases);

Tensor SwiGlu(Tape& tape, const Tensor& gate_up) {
  OpTimer timer(tape, kSwiGluOp);
  FLASHLM_CHECK(gate_up.cols % 2 == 0, "gate and up projection of {} columns", gate_up.cols);
  const Tensor y = tape.New(gate_up.rows, gate_up.cols / 2, gate_up.dtype);  // [N,F]
  kernels::SwiGlu(gate_up.matrix(), y.matrix());
  tape.Record({&kSwiGluOp, {gate_up}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
