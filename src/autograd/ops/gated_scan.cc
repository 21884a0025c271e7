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
  const kernels::Gated in{node.inputs[0].matrix(), node.inputs[1].matrix(), node.inputs[2].matrix()};
  GradientWriter dforget(tape, node.inputs[0]), dvalue(tape, node.inputs[1]), dopen(tape, node.inputs[2]);
  kernels::GatedScanGrad(saved.shape, in, tape.bank().Value(node.parameter), saved.floor, saved.states,
                         tape.GradientOf(node.output), {dforget.matrix(), dvalue.matrix(), dopen.matrix()},
                         tape.ParamGradient(node.parameter), tape.Scratch(saved.shape.batch * saved.shape.width));
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
  cases.push_back(OpCase::Make(
      "values apart", 2, 7, {{14, 10}, {14, 5}, {1, 5, true}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return GatedScan(tape, Tape::Columns(in[0].tensor, 0, 5), in[1].tensor, Tape::Columns(in[0].tensor, 5, 5),
                         in[2].param, 0.25f);
      },
      [](const auto& in, auto& out) {
        auto proj = in[0];
        proj.v.clear();
        for (size_t row = 0; row < 14; ++row) {
          const auto forget = in[0].v.begin() + row * 10, value = in[1].v.begin() + row * 5;
          proj.v.insert(proj.v.end(), forget, forget + 5);
          proj.v.insert(proj.v.end(), value, value + 5);
          proj.v.insert(proj.v.end(), forget + 5, forget + 10);
        }
        kernels::ref::GatedScan({2, 7, 5}, proj.v.data(), in[2].data(), 0.25, out.data());
      }));
  return cases;
}

}  // namespace

extern const OpDef kGatedScanOp;
const OpDef kGatedScanOp("gated_scan", GatedScanBackward, GatedScanCases);

Tensor GatedScan(Tape& tape, const Tensor& forget, const Tensor& value, const Tensor& open, const Param& forget_bias,
                 float floor) {
  OpTimer timer(tape, kGatedScanOp);
  const int width = forget_bias.cols;
  FLASHLM_CHECK(forget.cols == width && value.cols == width && open.cols == width,
                "recurrence of width {} over {}, {} and {} columns", width, forget.cols, value.cols, open.cols);
  FLASHLM_CHECK(forget.dtype == value.dtype && open.dtype == value.dtype, "a recurrence over tensors of several types");
  const kernels::ScanShape shape{tape.batch(), tape.length(), width};
  const Tensor y = tape.New(value.rows, width, value.dtype);  // [N,C]
  float* states = tape.training() ? tape.Keep<float>(int64_t{value.rows} * width) : nullptr;
  kernels::GatedScan(shape, {forget.matrix(), value.matrix(), open.matrix()}, tape.bank().Value(forget_bias), floor,
                     tape.Slot(width), y.matrix(), states);
  tape.Record({&kGatedScanOp, {forget, value, open}, y, forget_bias, tape.Keep(GatedScanSaved{shape, states, floor})});
  return y;
}

Tensor GatedScan(Tape& tape, const Tensor& proj, const Param& forget_bias, float floor) {
  const int width = forget_bias.cols;
  FLASHLM_CHECK(proj.cols == 3 * width, "recurrence of width {} over {} columns", width, proj.cols);
  return GatedScan(tape, Tape::Columns(proj, 0, width), Tape::Columns(proj, width, width),
                   Tape::Columns(proj, 2 * width, width), forget_bias, floor);
}

}  // namespace flashlm
