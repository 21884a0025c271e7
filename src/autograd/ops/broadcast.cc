#include <cstring>

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

void BroadcastBackward(Tape& tape, const Node& node) {
  kernels::SumRows(tape.GradientOf(node.output), tape.ParamGradient(node.parameter),
                   tape.Scratch(kernels::SumRowsScratch(node.output.rows, node.output.cols)));
}

std::vector<OpCase> BroadcastCases() {
  return {OpCase::Make(
      "2x35x19", 2, 35, {{1, 19, true}},
      [](Tape& tape, const std::vector<Operand>& in) { return Broadcast(tape, in[0].param); },
      [](const auto& in, auto& out) {
        for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = in[0].v[i % in[0].v.size()];
      })};
}

}  // namespace

extern const OpDef kBroadcastOp;
const OpDef kBroadcastOp("broadcast", BroadcastBackward, BroadcastCases);

Tensor Broadcast(Tape& tape, const Param& row) {
  OpTimer timer(tape, kBroadcastOp);
  const Tensor y = tape.New(tape.rows(), row.cols, DType::kF32);  // [N,C]
  const float* from = tape.bank().Value(row);
  const size_t bytes = sizeof(float) * static_cast<size_t>(row.cols);
  for (int64_t r = 0; r < y.rows; ++r) std::memcpy(y.matrix().Row<float>(r), from, bytes);
  tape.Record({&kBroadcastOp, {}, y, row, nullptr});
  return y;
}

}  // namespace flashlm
