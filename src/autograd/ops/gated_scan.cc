#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/scan/ref.h"
#include "kernels/scan/scan.h"

namespace flashlm {
namespace {

struct GatedScanSaved {
  kernels::ScanShape shape;
  const float* states;  // [N,C]
  float floor;
};

void GatedScanBackward(Tape& tape, const Node& node) {
  const GatedScanSaved& saved = node.As<GatedScanSaved>();
  const Tensor& proj = node.inputs[0];
  GradientWriter dproj(tape, proj);
  kernels::GatedScanGrad(saved.shape, proj.matrix(), tape.bank().Value(node.parameter), saved.floor, saved.states,
                         tape.GradientOf(node.output), dproj.matrix(), tape.ParamGradient(node.parameter),
                         tape.Scratch(saved.shape.batch * saved.shape.width));
}

std::vector<OpCase> GatedScanCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, width, floor] :
       {std::tuple{2, 7, 5, 0.0}, std::tuple{1, 9, 16, 0.6}, std::tuple{2, 2, 131, 0.3}}) {
    const kernels::ScanShape shape{batch, length, width};
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}, floor {}", batch, length, width, floor), batch, length,
        {{batch * length, 3 * width}, {1, width, true}},
        [floor = floor](Tape& tape, const std::vector<Operand>& in) {
          return GatedScan(tape, in[0].tensor, in[1].param, static_cast<float>(floor));
        },
        [shape, floor = floor](const auto& in, auto& out) {
          kernels::ref::GatedScan(shape, in[0].data(), in[1].data(), static_cast<float>(floor), out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kGatedScanOp;
const OpDef kGatedScanOp("gated_scan", GatedScanBackward, GatedScanCases);

Tensor GatedScan(Tape& tape, const Tensor& proj, const Param& forget_bias, float floor) {
  OpTimer timer(tape, kGatedScanOp);
  const int width = forget_bias.cols;
  FLASHLM_CHECK(proj.cols == 3 * width, "recurrence of width {} over {} columns", width, proj.cols);
  const kernels::ScanShape shape{tape.batch(), tape.length(), width};
  const Tensor y = tape.New(proj.rows, width, proj.dtype);  // [N,C]
  float* states = tape.training() ? tape.Keep<float>(int64_t{proj.rows} * width) : nullptr;
  kernels::GatedScan(shape, proj.matrix(), tape.bank().Value(forget_bias), floor, tape.Slot(width), y.matrix(), states);
  tape.Record({&kGatedScanOp, {proj}, y, forget_bias, tape.Keep(GatedScanSaved{shape, states, floor})});
  return y;
}

}  // namespace flashlm
