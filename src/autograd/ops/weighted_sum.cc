#include "kernels/vector/weighted_sum.h"

#include "autograd/op_case.h"
#include "autograd/ops.h"

namespace flashlm {
namespace {

void WeightedSumBackward(Tape& tape, const Node& node) {
  const Tensor &a = node.inputs[0], &b = node.inputs[1];
  GradientWriter da(tape, a, GradientWriter::Kernel::kCanAdd), db(tape, b, GradientWriter::Kernel::kCanAdd);
  kernels::WeightedSumGrad(a.matrix(), b.matrix(), tape.bank().Value(node.parameter), tape.GradientOf(node.output),
                           {da.matrix(), da.accumulate()}, {db.matrix(), db.accumulate()},
                           tape.ParamGradient(node.parameter), tape.Scratch(kernels::WeightedSumGradScratch(a.rows)));
}

std::vector<OpCase> WeightedSumCases() {
  const auto run = [](Tape& tape, const std::vector<Operand>& in) {
    return WeightedSum(tape, in[0].tensor, in[1].tensor, in[2].param);
  };
  const auto definition = [](const auto& in, auto& out) {
    for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = in[2].v[0] * in[0].v[i] + in[2].v[1] * in[1].v[i];
  };
  std::vector<OpCase> cases;
  for (const auto& [rows, cols] : {std::pair{3, 16}, std::pair{70, 9}, std::pair{150, 33}}) {
    cases.push_back(OpCase::Make(fmt::format("{}x{}", rows, cols), 1, rows, {{rows, cols}, {rows, cols}, {1, 2, true}},
                                 run, definition));
  }
  return cases;
}

}  // namespace

extern const OpDef kWeightedSumOp;
const OpDef kWeightedSumOp("weighted_sum", WeightedSumBackward, WeightedSumCases);

Tensor WeightedSum(Tape& tape, const Tensor& a, const Tensor& b, const Param& weights) {
  OpTimer timer(tape, kWeightedSumOp);
  FLASHLM_CHECK(a.rows == b.rows && a.cols == b.cols && weights.rows * weights.cols == 2,
                "sum of {} and {} columns with {} weights", a.cols, b.cols, weights.rows * weights.cols);
  const Tensor y = tape.New(a.rows, a.cols, a.dtype);  // [N,C]
  kernels::WeightedSum(a.matrix(), b.matrix(), tape.bank().Value(weights), y.matrix());
  tape.Record({&kWeightedSumOp, {a, b}, y, weights, nullptr});
  return y;
}

}  // namespace flashlm
