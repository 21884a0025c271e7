#include "kernels/activation/silu.h"

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/ref.h"

namespace flashlm {
namespace {

void Backward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::SiluGrad(x.matrix(), tape.GradientOf(node.output), dx.matrix(), dx.accumulate());
}

std::vector<OpCase> Cases() {
  return {OpCase::Make(
      "5x21", 1, 5, {{5, 21, false, 2}},
      [](Tape& tape, const std::vector<Operand>& in) { return Silu(tape, in[0].tensor); },
      [](const auto& in, auto& out) {
        for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = in[0].v[i] * kernels::ref::Sigmoid(in[0].v[i]);
      })};
}

}  // namespace

extern const OpDef kSiluOp;
const OpDef kSiluOp("silu", Backward, Cases);

Tensor Silu(Tape& tape, const Tensor& x) {
  OpTimer timer(tape, kSiluOp);
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,F]
  kernels::Silu(x.matrix(), y.matrix());
  tape.Record({&kSiluOp, {x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
