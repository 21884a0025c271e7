#include "autograd/linear_product.h"
#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/ternary/ref.h"

namespace flashlm {
namespace {

void LinearBackward(Tape& tape, const Node& node) {
  const kernels::Matrix dy = tape.GradientOf(node.output);
  GradientWriter dx(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  MultiplyLinearGrad(tape, node.parameter, node.As<LinearInput>(), dy, dx.matrix(), dx.accumulate());
}

std::vector<OpCase> LinearCases() {
  const auto run = [](Tape& tape, const std::vector<Operand>& in) { return Linear(tape, in[0].tensor, in[1].param); };
  const auto product = [](const auto& x, const auto& w, auto& out) {
    for (int r = 0; r < out.rows; ++r) {
      for (int o = 0; o < out.cols; ++o) {
        auto& sum = out.v[r * out.cols + o];
        sum = 0;
        for (int i = 0; i < x.cols; ++i) sum += x.v[r * x.cols + i] * w.v[o * x.cols + i];
      }
    }
  };
  std::vector<OpCase> cases;
  for (const auto& [rows, in_cols, out_cols] : {std::tuple{3, 8, 5}, std::tuple{20, 16, 24}}) {
    cases.push_back(OpCase::Make(fmt::format("{}x{}x{}", rows, in_cols, out_cols), 1, rows,
                                 {{rows, in_cols}, {out_cols, in_cols, true}}, run,
                                 [product](const auto& in, auto& out) { product(in[0], in[1], out); }));
  }
  using kernels::Ternary;
  for (const auto& [kind, name] :
       {std::pair{Ternary::kMean, "a mean"}, std::pair{Ternary::kMatrix, "a matrix"}, std::pair{Ternary::kRow, "a row"},
        std::pair{Ternary::kScaleGradient, "a scale with gradient"}}) {
    for (const bool int8 : {false, true}) {
      cases.push_back(OpCase::Make(fmt::format("ternary {}{}", name, int8 ? ", int8 input" : ""), 1, 6,
                                   {{6, 16}, {9, 16, true, 1, 0, {kind, int8}}}, run,
                                   [product, kind = kind, int8](const auto& in, auto& out) {
                                     auto x = in[0], w = in[1];
                                     kernels::ref::Ternarize(kind, in[1].data(), w.rows, w.cols, w.data());
                                     if (int8) kernels::ref::QuantizeRows(in[0].data(), x.rows, x.cols, x.data());
                                     product(x, w, out);
                                   }));
    }
  }
  return cases;
}

}  // namespace

extern const OpDef kLinearOp;
const OpDef kLinearOp("linear (GEMM)", LinearBackward, LinearCases);

Tensor Linear(Tape& tape, const Tensor& x, const Param& weight) {
  OpTimer timer(tape, kLinearOp);
  FLASHLM_CHECK(x.dtype == tape.dtype() && x.cols == weight.cols, "linear map [{},{}] of a tensor with {} columns",
                weight.rows, weight.cols, x.cols);
  const Tensor y = tape.New(x.rows, weight.rows, tape.dtype());  // [N,O]
  const LinearInput input = ReadForLinear(tape, weight.quantization, x.matrix());
  MultiplyLinear(tape, weight, input, y.matrix(), x.rows);
  tape.Record({&kLinearOp, {x}, y, weight, tape.Keep(input)});
  return y;
}

}  // namespace flashlm
