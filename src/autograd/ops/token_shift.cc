#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/shift/ref.h"
#include "kernels/shift/shift.h"

namespace flashlm {
namespace {

struct TokenShiftSaved {
  kernels::ShiftShape shape;
};

void TokenShiftBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::TokenShiftGrad(node.As<TokenShiftSaved>().shape, x.matrix(), tape.bank().Value(node.parameter),
                          tape.GradientOf(node.output), dx.matrix(), dx.accumulate(),
                          tape.ParamGradient(node.parameter),
                          tape.Scratch(kernels::TokenShiftGradScratch(x.rows, x.cols)));
}

std::vector<OpCase> TokenShiftCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, width] : {std::tuple{3, 4, 21}, std::tuple{2, 37, 3}, std::tuple{2, 1, 16}}) {
    const kernels::ShiftShape shape{batch, length, 1};
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}", batch, length, width), batch, length, {{batch * length, width}, {1, width, true}},
        [](Tape& tape, const std::vector<Operand>& in) { return TokenShift(tape, in[0].tensor, in[1].param); },
        [shape](const auto& in, auto& out) {
          kernels::ref::TokenShift(shape, in[0].data(), in[1].data(), out.cols, out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kTokenShiftOp;
const OpDef kTokenShiftOp("token_shift", TokenShiftBackward, TokenShiftCases);

Tensor TokenShift(Tape& tape, const Tensor& x, const Param& mix) {
  OpTimer timer(tape, kTokenShiftOp);
  FLASHLM_CHECK(mix.cols == x.cols, "shift of width {} over {} columns", mix.cols, x.cols);
  const kernels::ShiftShape shape{tape.batch(), tape.length(), 1};
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N,C]
  float* state = tape.Slot(x.cols);
  kernels::TokenShift(shape, x.matrix(), tape.bank().Value(mix), state, y.matrix());
  if (state != nullptr) kernels::UpdateHistory(shape, x.matrix(), state);
  tape.Record({&kTokenShiftOp, {x}, y, mix, tape.Keep(TokenShiftSaved{shape})});
  return y;
}

}  // namespace flashlm
