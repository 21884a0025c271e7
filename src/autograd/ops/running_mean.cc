#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/scan/ref.h"
#include "kernels/scan/scan.h"

namespace flashlm {
namespace {

struct RunningMeanSaved {
  kernels::ScanShape shape;
};

void RunningMeanBackward(Tape& tape, const Node& node) {
  GradientWriter dx(tape, node.inputs[0], GradientWriter::Kernel::kCanAdd);
  kernels::RunningMeanGrad(node.As<RunningMeanSaved>().shape, tape.GradientOf(node.output), dx.matrix(),
                           dx.accumulate());
}

std::vector<OpCase> RunningMeanCases() {
  std::vector<OpCase> cases;
  for (const auto& [batch, length, width] : {std::tuple{2, 9, 19}, std::tuple{2, 2, 131}, std::tuple{3, 1, 4}}) {
    const kernels::ScanShape shape{batch, length, width};
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}x{}", batch, length, width), batch, length, {{batch * length, width}},
        [](Tape& tape, const std::vector<Operand>& in) { return RunningMean(tape, in[0].tensor); },
        [shape](const auto& in, auto& out) { kernels::ref::RunningMean(shape, in[0].data(), out.data()); }));
  }
  return cases;
}

}  // namespace

extern const OpDef kRunningMeanOp;
const OpDef kRunningMeanOp("running_mean", RunningMeanBackward, RunningMeanCases);

Tensor RunningMean(Tape& tape, const Tensor& x) {
  OpTimer timer(tape, kRunningMeanOp);
  FLASHLM_CHECK(x.dtype == DType::kF32, "a running mean of {}", NameOf(x.dtype));
  const kernels::ScanShape shape{tape.batch(), tape.length(), x.cols};
  const Tensor y = tape.New(x.rows, x.cols, tape.dtype());  // [N,C]
  kernels::RunningMean(shape, x.matrix(), tape.positions(), tape.Slot(x.cols), y.matrix());
  tape.Record({&kRunningMeanOp, {x}, y, {}, tape.Keep(RunningMeanSaved{shape})});
  return y;
}

}  // namespace flashlm
