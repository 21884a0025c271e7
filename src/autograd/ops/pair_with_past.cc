#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/shift/ref.h"
#include "kernels/shift/shift.h"

namespace flashlm {
namespace {

struct PairWithPastSaved {
  kernels::ShiftShape shape;
};

void PairWithPastBackward(Tape& tape, const Node& node) {
  GradientWriter dx(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  kernels::PairWithPastGrad(node.As<PairWithPastSaved>().shape, tape.GradientOf(node.output), dx.matrix(),
                            dx.accumulate());
}

std::vector<OpCase> PairWithPastCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, lag, width] :
       {std::tuple{2, 7, 1, 21}, std::tuple{2, 5, 3, 16}, std::tuple{2, 2, 4, 3}}) {
    const kernels::ShiftShape shape{batch, length, lag};
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}, {} back", batch, length, width, lag), batch, length, {{batch * length, width}},
        [lag = lag](Tape& tape, const std::vector<Operand>& in) { return PairWithPast(tape, in[0].tensor, lag); },
        [shape](const auto& in, auto& out) {
          kernels::ref::PairWithPast(shape, in[0].data(), in[0].cols, out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kPairWithPastOp;
const OpDef kPairWithPastOp("pair_with_past", PairWithPastBackward, PairWithPastCases);

Tensor PairWithPast(Tape& tape, const Tensor& x, int lag) {
  OpTimer timer(tape, kPairWithPastOp);
  FLASHLM_CHECK(lag > 0, "a pair with the position {} back", lag);
  const kernels::ShiftShape shape{tape.batch(), tape.length(), lag};
  const Tensor y = tape.New(x.rows, 2 * x.cols, x.dtype);  // [N,2C]
  float* state = tape.Slot(int64_t{lag} * x.cols);
  kernels::PairWithPast(shape, x.matrix(), state, y.matrix());
  if (state != nullptr) kernels::UpdateHistory(shape, x.matrix(), state);
  tape.Record({&kPairWithPastOp, {x}, y, {}, tape.Keep(PairWithPastSaved{shape})});
  return y;
}

}  // namespace flashlm
