#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/gate/gate.h"
#include "kernels/gate/ref.h"

namespace flashlm {
namespace {

void AddScalarGatedBackward(Tape& tape, const Node& node) {
  const Tensor &x = node.inputs[0], &branch = node.inputs[1];
  GradientWriter dbranch(tape, branch);
  kernels::AddGatedGrad(branch.matrix(), tape.bank().Value(node.parameter), tape.GradientOf(node.output),
                        dbranch.matrix(), tape.ParamGradient(node.parameter),
                        tape.Scratch(kernels::AddGatedGradScratch(x.rows)));
  tape.PassGradient(node.output, x);
}

std::vector<OpCase> AddScalarGatedCases() {
  return {OpCase::Make(
      "70x9", 1, 70, {{70, 9}, {70, 9}, {1, 1, true}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return AddScalarGated(tape, in[0].tensor, in[1].tensor, in[2].param);
      },
      [](const auto& in, auto& out) {
        kernels::ref::AddGated(in[0].data(), in[1].data(), in[2].v[0], static_cast<int>(out.v.size()), out.data());
      })};
}

}  // namespace

extern const OpDef kAddScalarGatedOp;
const OpDef kAddScalarGatedOp("add_scalar_gated", AddScalarGatedBackward, AddScalarGatedCases);

Tensor AddScalarGated(Tape& tape, const Tensor& x, const Tensor& branch, const Param& gate) {
  OpTimer timer(tape, kAddScalarGatedOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && x.cols == branch.cols && gate.cols == 1,
                "residual of {} columns plus a branch of {}, {} gates", x.cols, branch.cols, gate.cols);
  const Tensor y = tape.New(x.rows, x.cols, DType::kF32);  // [N,C]
  kernels::AddGated(x.matrix(), branch.matrix(), tape.bank().Value(gate), y.matrix());
  tape.Record({&kAddScalarGatedOp, {x, branch}, y, gate, nullptr});
  return y;
}

}  // namespace flashlm
