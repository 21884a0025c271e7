#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/scan/ref.h"
#include "kernels/scan/scan.h"

namespace flashlm {
namespace {

struct DecayScanSaved {
  kernels::ScanShape shape;
  const float* states;  // [N,C]
};

void DecayScanBackward(Tape& tape, const Node& node) {
  const DecayScanSaved& saved = node.As<DecayScanSaved>();
  const Tensor& proj = node.inputs[0];
  GradientWriter dproj(tape, proj);
  kernels::DecayScanGrad(saved.shape, proj.matrix(), tape.bank().Value(node.parameter), saved.states,
                         tape.GradientOf(node.output), dproj.matrix(), tape.ParamGradient(node.parameter),
                         tape.Scratch(saved.shape.batch * saved.shape.width));
}

std::vector<OpCase> DecayScanCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, width] : {std::tuple{2, 7, 5}, std::tuple{1, 9, 16}, std::tuple{2, 2, 131}}) {
    const kernels::ScanShape shape{batch, length, width};
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}", batch, length, width), batch, length, {{batch * length, 2 * width}, {1, width, true}},
        [](Tape& tape, const std::vector<Operand>& in) { return DecayScan(tape, in[0].tensor, in[1].param); },
        [shape](const auto& in, auto& out) {
          kernels::ref::DecayScan(shape, in[0].data(), in[1].data(), out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kDecayScanOp;
const OpDef kDecayScanOp("decay_scan", DecayScanBackward, DecayScanCases);

Tensor DecayScan(Tape& tape, const Tensor& proj, const Param& decay) {
  OpTimer timer(tape, kDecayScanOp);
  const int width = decay.cols;
  FLASHLM_CHECK(proj.cols == 2 * width, "recurrence of width {} over {} columns", width, proj.cols);
  const kernels::ScanShape shape{tape.batch(), tape.length(), width};
  const Tensor y = tape.New(proj.rows, width, proj.dtype);  // [N,C]
  float* states = tape.training() ? tape.Keep<float>(int64_t{proj.rows} * width) : nullptr;
  kernels::DecayScan(shape, proj.matrix(), tape.bank().Value(decay), tape.Slot(width), y.matrix(), states);
  tape.Record({&kDecayScanOp, {proj}, y, decay, tape.Keep(DecayScanSaved{shape, states})});
  return y;
}

}  // namespace flashlm
