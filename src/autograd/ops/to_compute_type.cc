#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/activation/ref.h"

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
      "4x9", 1, 4, {{4, 9}, {4, 18}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return AddDropout(tape, ToComputeType(tape, in[0].tensor), SwiGlu(tape, in[1].tensor), 0);
      },
      [](const auto& in, auto& out) {
        kernels::ref::SwiGlu(in[1].data(), out.rows, out.cols, out.data());
        for (size_t i = 0; i < out.v.size(); ++i) out.v[i] += in[0].v[i];
      })};
}

}  // namespace

extern const OpDef kToComputeTypeOp;
const OpDef kToComputeTypeOp("to_compute_type", Backward, Cases);

Tensor ToComputeType(Tape& tape, const Tensor& x) {
  if (x.dtype == tape.dtype()) return x;
  OpTimer timer(tape, kToComputeTypeOp);
  const Tensor y = tape.New(x.rows, x.cols, tape.dtype());
  kernels::CopyMatrix(x.matrix(), y.matrix(), false);
  tape.Record({&kToComputeTypeOp, {x}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
