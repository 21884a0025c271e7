#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void SiluBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::SiluGrad(x.matrix(), tape.GradientOf(node.output), dx.matrix(), dx.accumulate());
}

std::vector<OpCase> SiluCases() {
  return {OpCase::Make(
      "5x21", 1, 5, {{5, 21, false, 2}},
      [](Tape& tape, const std::vector<Operand>& in) { return Silu(tape, in[0].tensor); },
      [](const auto& in, auto& out) { kernels::ref::Silu(in[0].data(), static_cast<int>(out.v.size()), out.data()); })};
}

}  // namespace

extern const OpDef kSiluOp;
const OpDef kSiluOp("silu", SiluBackward, SiluCases);

Tensor Silu(Tape& tape, const Tensor& x) {
  OpTimer timer(tape, kSiluOp);
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,F]
  kernels::Silu(x.matrix(), y.matrix());
  tape.Record({&kSiluOp, {x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
