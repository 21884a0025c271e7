#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/ref.h"
#include "kernels/shift/shift.h"

namespace flashlm {
namespace {

struct GatedConvSaved {
  kernels::ConvShape shape;
};

void GatedConvBackward(Tape& tape, const Node& node) {
  const kernels::ConvShape& shape = node.As<GatedConvSaved>().shape;
  GradientWriter dx(tape, node.inputs[0]);
  kernels::GatedConvGrad(shape, node.inputs[0].matrix(), tape.bank().Value(node.parameter),
                         tape.GradientOf(node.output), dx.matrix(), tape.ParamGradient(node.parameter),
                         tape.Scratch(kernels::GatedConvGradScratch(shape)));
}

std::vector<OpCase> GatedConvCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, width, taps] :
       {std::tuple{2, 9, 19, 4}, std::tuple{2, 3, 16, 8}, std::tuple{3, 50, 3, 2}}) {
    const kernels::ConvShape shape{batch, length, width, taps};
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}, {} taps", batch, length, width, taps), batch, length,
        {{batch * length, 2 * width}, {width, taps, true}},
        [](Tape& tape, const std::vector<Operand>& in) { return GatedConv(tape, in[0].tensor, in[1].param); },
        [shape](const auto& in, auto& out) {
          kernels::ref::GatedConv(shape, in[0].data(), in[1].data(), out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kGatedConvOp;
const OpDef kGatedConvOp("gated_conv", GatedConvBackward, GatedConvCases);

Tensor GatedConv(Tape& tape, const Tensor& gate_value, const Param& kernel) {
  OpTimer timer(tape, kGatedConvOp);
  const int width = kernel.rows, taps = kernel.cols;
  FLASHLM_CHECK(gate_value.cols == 2 * width && taps > 1, "convolution of {} channels, {} taps, over {} columns", width,
                taps, gate_value.cols);
  const kernels::ConvShape shape{tape.batch(), tape.length(), width, taps};
  const Tensor y = tape.New(gate_value.rows, width, gate_value.dtype);  // [N,C]
  float* state = tape.Slot(int64_t{taps - 1} * width);
  kernels::GatedConv(shape, gate_value.matrix(), tape.bank().Value(kernel), state, y.matrix(),
                     tape.Scratch(int64_t{taps} * width));
  if (state != nullptr) {
    kernels::UpdateHistory({shape.batch, shape.length, taps - 1}, Tape::Columns(gate_value, width, width).matrix(),
                           state);
  }
  tape.Record({&kGatedConvOp, {gate_value}, y, kernel, tape.Keep(GatedConvSaved{shape})});
  return y;
}

}  // namespace flashlm
