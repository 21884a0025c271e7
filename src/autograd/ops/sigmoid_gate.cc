#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/gate/gate.h"
#include "kernels/gate/ref.h"

namespace flashlm {
namespace {

void SigmoidGateBackward(Tape& tape, const Node& node) {
  const Tensor &gate = node.inputs[0], &x = node.inputs[1];
  GradientWriter dgate(tape, gate), dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::SigmoidGateGrad(gate.matrix(), x.matrix(), tape.GradientOf(node.output), dgate.matrix(), dx.matrix(),
                           dx.accumulate());
}

std::vector<OpCase> SigmoidGateCases() {
  return {OpCase::Make(
      "6x17", 1, 6, {{6, 17}, {6, 17}},
      [](Tape& tape, const std::vector<Operand>& in) { return SigmoidGate(tape, in[0].tensor, in[1].tensor); },
      [](const auto& in, auto& out) {
        kernels::ref::SigmoidGate(in[0].data(), in[1].data(), static_cast<int>(out.v.size()), out.data());
      })};
}

}  // namespace

extern const OpDef kSigmoidGateOp;
const OpDef kSigmoidGateOp("sigmoid_gate", SigmoidGateBackward, SigmoidGateCases);

Tensor SigmoidGate(Tape& tape, const Tensor& gate, const Tensor& x) {
  OpTimer timer(tape, kSigmoidGateOp);
  FLASHLM_CHECK(gate.cols == x.cols, "gate of {} columns over {}", gate.cols, x.cols);
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,C]
  kernels::SigmoidGate(gate.matrix(), x.matrix(), y.matrix());
  tape.Record({&kSigmoidGateOp, {gate, x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
