#include "autograd/op_case.h"
#include "autograd/ops.h"

namespace flashlm {
namespace {

void Backward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  const Param& weight = node.parameter;
  const kernels::Matrix dy = tape.GradientOf(node.output);
  kernels::WeightGradient(dy, x.matrix(),
                          {tape.bank().Gradient(weight), DType::kF32, weight.rows, weight.cols, weight.cols});
  bool accumulate;
  const kernels::Matrix dx = tape.GradientFor(x, &accumulate);
  tape.Packed(weight).InputGradient(dy, dx, accumulate);
}

std::vector<OpCase> Cases() {
  std::vector<OpCase> cases;
  for (const auto& [rows, in_cols, out_cols] : {std::tuple{3, 8, 5}, std::tuple{20, 16, 24}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}", rows, in_cols, out_cols), 1, rows, {{rows, in_cols}, {out_cols, in_cols, true}},
        [](Tape& tape, const std::vector<Operand>& in) { return Linear(tape, in[0].tensor, in[1].param); },
        [](const auto& in, auto& out) {
          for (int r = 0; r < out.rows; ++r) {
            for (int o = 0; o < out.cols; ++o) {
              auto& sum = out.v[r * out.cols + o];
              sum = 0;
              for (int i = 0; i < in[0].cols; ++i) sum += in[0].v[r * in[0].cols + i] * in[1].v[o * in[0].cols + i];
            }
          }
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kLinearOp;
const OpDef kLinearOp("linear (GEMM)", Backward, Cases);

Tensor Linear(Tape& tape, const Tensor& x, const Param& weight) {
  OpTimer timer(tape, kLinearOp);
  FLASHLM_CHECK(x.dtype == tape.dtype() && x.cols == weight.cols, "linear map [{},{}] of a tensor with {} columns",
                weight.rows, weight.cols, x.cols);
  const Tensor y = tape.New(x.rows, weight.rows, tape.dtype());  // [N,O]
  tape.Packed(weight).Forward(x.matrix(), y.matrix(), false);
  tape.Record({&kLinearOp, {x}, y, weight, nullptr});
  return y;
}

}  // namespace flashlm
