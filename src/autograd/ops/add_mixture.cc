#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/mixture/mixture.h"
#include "kernels/mixture/ref.h"

namespace flashlm {
namespace {

void Backward(Tape& tape, const Node& node) {
  kernels::Matrix gradients[3];  // of logits, a, b
  for (int i = 0; i < 3; ++i) {
    bool accumulate;
    gradients[i] = tape.GradientFor(node.inputs[static_cast<size_t>(i + 1)], &accumulate);
    FLASHLM_CHECK(!accumulate, "an input of the mixture has another reader");
  }
  kernels::AddMixtureGrad(node.inputs[1].matrix(), node.inputs[2].matrix(), node.inputs[3].matrix(),
                          tape.GradientOf(node.output), gradients[0], gradients[1], gradients[2]);
  tape.PassGradient(node.output, node.inputs[0]);
}

std::vector<OpCase> Cases() {
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
const OpDef kAddMixtureOp("add_mixture", Backward, Cases);

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
