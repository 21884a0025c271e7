#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/mixture/mixture.h"
#include "kernels/mixture/ref.h"

namespace flashlm {
namespace {

void AddMixtureBackward(Tape& tape, const Node& node) {
  const Tensor &logits = node.inputs[1], &a = node.inputs[2], &b = node.inputs[3];
  GradientWriter dlogits(tape, logits), da(tape, a), db(tape, b);
  kernels::AddMixtureGrad(logits.matrix(), a.matrix(), b.matrix(), tape.GradientOf(node.output), dlogits.matrix(),
                          da.matrix(), db.matrix());
  tape.PassGradient(node.output, node.inputs[0]);
}

std::vector<OpCase> AddMixtureCases() {
  return {OpCase::Make(
      "6x17", 1, 6, {{6, 17}, {6, 2}, {6, 17}, {6, 17}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return AddMixture(tape, in[0].tensor, in[1].tensor, in[2].tensor, in[3].tensor);
      },
      [](const auto& in, auto& out) {
        kernels::ref::AddMixture(in[0].data(), in[1].data(), in[2].data(), in[3].data(), out.rows, out.cols,
                                 out.data());
      })};
}

}  // namespace

extern const OpDef kAddMixtureOp;
const OpDef kAddMixtureOp("add_mixture", AddMixtureBackward, AddMixtureCases);

Tensor AddMixture(Tape& tape, const Tensor& x, const Tensor& logits, const Tensor& a, const Tensor& b) {
  OpTimer timer(tape, kAddMixtureOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && logits.cols == 2 && a.cols == x.cols && b.cols == x.cols,
                "mixture of {} and {} columns by {} logits onto {}", a.cols, b.cols, logits.cols, x.cols);
  const Tensor y = tape.New(x.rows, x.cols, DType::kF32);  // [N,C]
  kernels::AddMixture(x.matrix(), logits.matrix(), a.matrix(), b.matrix(), y.matrix());
  tape.Record({&kAddMixtureOp, {x, logits, a, b}, y, {}, nullptr});
  return y;
}

}  // namespace flashlm
