#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void Backward(Tape& tape, const Node& node) {
  bool taken[3];
  kernels::Matrix gradients[3];
  for (int i = 0; i < 3; ++i) gradients[i] = tape.GradientFor(node.inputs[i], &taken[i]);
  FLASHLM_CHECK(!taken[0] && !taken[1] && !taken[2], "an input of the gate has another reader");
  kernels::GateMixGrad(node.inputs[0].matrix(), node.inputs[1].matrix(), node.inputs[2].matrix(),
                       tape.GradientOf(node.output), gradients[0], gradients[1], gradients[2]);
}

std::vector<OpCase> Cases() {
  return {OpCase::Make(
      "6x17", 1, 6, {{6, 17}, {6, 17}, {6, 17}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return GateMix(tape, in[0].tensor, in[1].tensor, in[2].tensor);
      },
      [](const auto& in, auto& out) {
        kernels::ref::GateMix(in[0].data(), in[1].data(), in[2].data(), out.rows * out.cols, out.data());
      })};
}

}  // namespace

extern const OpDef kGateMixOp;
const OpDef kGateMixOp("gate_mix", Backward, Cases);

Tensor GateMix(Tape& tape, const Tensor& gate, const Tensor& a, const Tensor& b) {
  OpTimer timer(tape, kGateMixOp);
  FLASHLM_CHECK(gate.cols == a.cols && a.cols == b.cols, "gate of {} columns over {} and {}", gate.cols, a.cols,
                b.cols);
  const Tensor y = tape.New(gate.rows, gate.cols, gate.dtype);  // [N,C]
  kernels::GateMix(gate.matrix(), a.matrix(), b.matrix(), y.matrix());
  tape.Record({&kGateMixOp, {gate, a, b}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
