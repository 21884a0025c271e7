#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"

namespace flashlm {
namespace {

void Backward(Tape& tape, const Node& node) {
  bool accumulate;
  const kernels::Matrix dx = tape.GradientFor(node.inputs[0], &accumulate);
  kernels::CopyMatrix(tape.GradientOf(node.output), dx, accumulate);
}

std::vector<OpCase> Cases() {
  // The tape of the cases computes in f32, where the tensor passes as it is.
  return {OpCase::Make(
      "4x9", 1, 4, {{4, 9}, {4, 9}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return AddDropout(tape, ToF32(tape, in[0].tensor), in[1].tensor, 0);
      },
      [](const auto& in, auto& out) {
        for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = in[0].v[i] + in[1].v[i];
      })};
}

}  // namespace

extern const OpDef kToF32Op;
const OpDef kToF32Op("to_f32", Backward, Cases);

Tensor ToF32(Tape& tape, const Tensor& x) {
  if (x.dtype == DType::kF32) return x;
  OpTimer timer(tape, kToF32Op);
  const Tensor y = tape.New(x.rows, x.cols, DType::kF32);
  kernels::CopyMatrix(x.matrix(), y.matrix(), false);
  tape.Record({&kToF32Op, {x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
