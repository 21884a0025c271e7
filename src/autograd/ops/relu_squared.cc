#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void ReluSquaredBackward(Tape& tape, const Node& node) {
  GradientWriter dx(tape, node.inputs[0]);
  kernels::ReluSquaredGrad(node.inputs[0].matrix(), tape.GradientOf(node.output), dx.matrix());
}

std::vector<OpCase> ReluSquaredCases() {
  return {OpCase::Make(
      "5x19", 1, 5, {{5, 19}},
      [](Tape& tape, const std::vector<Operand>& in) { return ReluSquared(tape, in[0].tensor); },
      [](const auto& in, auto& out) {
        kernels::ref::ReluSquared(in[0].data(), static_cast<int>(out.v.size()), out.data());
      })};
}

}  // namespace

extern const OpDef kReluSquaredOp;
const OpDef kReluSquaredOp("relu_squared", ReluSquaredBackward, ReluSquaredCases);

Tensor ReluSquared(Tape& tape, const Tensor& x) {
  OpTimer timer(tape, kReluSquaredOp);
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,F]
  kernels::ReluSquared(x.matrix(), y.matrix());
  tape.Record({&kReluSquaredOp, {x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
