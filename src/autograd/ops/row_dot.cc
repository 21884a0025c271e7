#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/vector/ref.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

void RowDotBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::RowDotGrad(x.matrix(), tape.bank().Value(node.parameter),
                      static_cast<const float*>(tape.GradientOf(node.output).data), dx.matrix(), dx.accumulate(),
                      tape.ParamGradient(node.parameter), tape.Scratch(kernels::RowDotGradScratch(x.rows, x.cols)));
}

std::vector<OpCase> RowDotCases() {
  return {OpCase::Make(
      "70x19", 1, 70, {{70, 19}, {1, 19, true}},
      [](Tape& tape, const std::vector<Operand>& in) { return RowDot(tape, in[0].tensor, in[1].param); },
      [](const auto& in, auto& out) {
        kernels::ref::RowDot(in[0].data(), in[1].data(), in[0].rows, in[0].cols, out.data());
      })};
}

}  // namespace

extern const OpDef kRowDotOp;
const OpDef kRowDotOp("row_dot", RowDotBackward, RowDotCases);

Tensor RowDot(Tape& tape, const Tensor& x, const Param& w) {
  OpTimer timer(tape, kRowDotOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && w.rows == 1 && w.cols == x.cols, "dot of {} columns with {} weights", x.cols,
                w.cols);
  const Tensor y = tape.New(x.rows, 1, DType::kF32);  // [N,1]
  kernels::RowDot(x.matrix(), tape.bank().Value(w), y.f32());
  tape.Record({&kRowDotOp, {x}, y, w, nullptr});
  return y;
}

}  // namespace flashlm
