#include "kernels/dropout/dropout.h"

#include "autograd/op_case.h"
#include "autograd/ops.h"

namespace flashlm {
namespace {

struct DropoutSaved {
  kernels::Dropout dropout;
};

void DropoutBackward(Tape& tape, const Node& node) {
  GradientWriter dx(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  kernels::ApplyDropout(tape.GradientOf(node.output), node.As<DropoutSaved>().dropout, dx.matrix(), dx.accumulate());
}

void AddDropoutBackward(Tape& tape, const Node& node) {
  const Tensor &x = node.inputs[0], &branch = node.inputs[1];
  GradientWriter dbranch(tape, branch, GradientWriter::Kernel::kCanAdd);
  kernels::ApplyDropout(tape.GradientOf(node.output), node.As<DropoutSaved>().dropout, dbranch.matrix(),
                        dbranch.accumulate());
  tape.PassGradient(node.output, x);
}

// With p = 0 both are linear; what is dropped for p > 0 is tested with the kernels.
std::vector<OpCase> DropoutCases() {
  return {OpCase::Make(
      "p = 0", 1, 4, {{4, 9}},
      [](Tape& tape, const std::vector<Operand>& in) { return Dropout(tape, in[0].tensor, 0.0); },
      [](const auto& in, auto& out) { out.v = in[0].v; })};
}

std::vector<OpCase> AddDropoutCases() {
  return {OpCase::Make(
      "p = 0", 1, 4, {{4, 9}, {4, 9}},
      [](Tape& tape, const std::vector<Operand>& in) { return AddDropout(tape, in[0].tensor, in[1].tensor, 0.0); },
      [](const auto& in, auto& out) {
        for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = in[0].v[i] + in[1].v[i];
      })};
}

}  // namespace

extern const OpDef kDropoutOp;
const OpDef kDropoutOp("dropout", DropoutBackward, DropoutCases);
extern const OpDef kAddDropoutOp;
const OpDef kAddDropoutOp("add_dropout", AddDropoutBackward, AddDropoutCases);

Tensor Dropout(Tape& tape, const Tensor& x, double p) {
  OpTimer timer(tape, kDropoutOp);
  const kernels::Dropout dropout = tape.NextDropout(p);
  if (dropout.p == 0) return x;
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);
  kernels::ApplyDropout(x.matrix(), dropout, y.matrix(), false);
  tape.Record({&kDropoutOp, {x}, y, {}, tape.Keep(DropoutSaved{dropout})});
  return y;
}

Tensor AddDropout(Tape& tape, const Tensor& x, const Tensor& branch, double p) {
  OpTimer timer(tape, kAddDropoutOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && x.cols == branch.cols, "residual of {} columns plus a branch of {}", x.cols,
                branch.cols);
  const kernels::Dropout dropout = tape.NextDropout(p);
  const Tensor y = tape.New(x.rows, x.cols, DType::kF32);  // [N,C]
  kernels::AddDropout(x.matrix(), branch.matrix(), dropout, y.matrix());
  tape.Record({&kAddDropoutOp, {x, branch}, y, {}, tape.Keep(DropoutSaved{dropout})});
  return y;
}

}  // namespace flashlm
