#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/gate/gate.h"
#include "kernels/gate/ref.h"

namespace flashlm {
namespace {

void GateMixBackward(Tape& tape, const Node& node) {
  const Tensor &gate = node.inputs[0], &a = node.inputs[1], &b = node.inputs[2];
  GradientWriter dgate(tape, gate), da(tape, a), db(tape, b);
  kernels::GateMixGrad(gate.matrix(), a.matrix(), b.matrix(), tape.GradientOf(node.output), dgate.matrix(), da.matrix(),
                       db.matrix());
}

std::vector<OpCase> GateMixCases() {
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
const OpDef kGateMixOp("gate_mix", GateMixBackward, GateMixCases);

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
