#include "kernels/gate/head_gate.h"

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void HeadGateBackward(Tape& tape, const Node& node) {
  const Tensor &gate = node.inputs[0], &x = node.inputs[1];
  GradientWriter dgate(tape, gate), dx(tape, x);
  kernels::HeadGateGrad(gate.matrix(), x.matrix(), tape.GradientOf(node.output), dgate.matrix(), dx.matrix());
}

std::vector<OpCase> HeadGateCases() {
  std::vector<OpCase> cases;
  for (const auto& [rows, heads, dim] : {std::tuple{5, 3, 16}, std::tuple{70, 2, 9}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{} rows, {} heads x {}", rows, heads, dim), 1, rows, {{rows, heads}, {rows, heads * dim}},
        [](Tape& tape, const std::vector<Operand>& in) { return HeadGate(tape, in[0].tensor, in[1].tensor); },
        [dim = dim](const auto& in, auto& out) {
          for (int i = 0; i < static_cast<int>(out.v.size()); ++i) {
            out.v[i] = 2.0 * kernels::ref::Sigmoid(in[0].v[i / dim]) * in[1].v[i];
          }
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kHeadGateOp;
const OpDef kHeadGateOp("head_gate", HeadGateBackward, HeadGateCases);

Tensor HeadGate(Tape& tape, const Tensor& gate, const Tensor& x) {
  OpTimer timer(tape, kHeadGateOp);
  FLASHLM_CHECK(gate.cols > 0 && x.cols % gate.cols == 0 && gate.dtype == x.dtype, "{} gates of heads for {} columns",
                gate.cols, x.cols);
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,H*D]
  kernels::HeadGate(gate.matrix(), x.matrix(), y.matrix());
  tape.Record({&kHeadGateOp, {gate, x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
