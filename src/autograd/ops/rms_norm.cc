#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/norm/norm.h"
#include "kernels/norm/ref.h"

namespace flashlm {
namespace {

struct RmsNormSaved {
  const float* inv_rms;  // [N]
};

void RmsNormBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::RmsNormGrad(x.matrix(), tape.bank().Value(node.parameter), node.As<RmsNormSaved>().inv_rms,
                       tape.GradientOf(node.output), dx.matrix(), dx.accumulate(), tape.ParamGradient(node.parameter),
                       tape.Scratch(kernels::RmsNormGradScratch(x.rows, x.cols)));
}

std::vector<OpCase> RmsNormCases() {
  std::vector<OpCase> cases;
  // Values of about 1e-3 and a large eps: both count.
  for (const auto& [rows, cols, size, eps] : {std::tuple{4, 16, 1.0, 1e-6f}, std::tuple{3, 33, 1.0, 1e-6f},
                                              std::tuple{70, 7, 1e-3, 1e-6f}, std::tuple{3, 8, 1.0, 0.5f}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}, eps {}", rows, cols, eps), 1, rows, {{rows, cols, false, size}, {1, cols, true}},
        [eps = eps](Tape& tape, const std::vector<Operand>& in) {
          return RmsNormF32(tape, in[0].tensor, in[1].param, eps);
        },
        [eps = eps](const auto& in, auto& out) {
          kernels::ref::RmsNorm(in[0].data(), in[1].data(), double{eps}, out.rows, out.cols, out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kRmsNormOp;
const OpDef kRmsNormOp("rms_norm", RmsNormBackward, RmsNormCases);

namespace {

Tensor Normalize(Tape& tape, const Tensor& x, const Param& gain, float eps, DType dtype) {
  OpTimer timer(tape, kRmsNormOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && gain.cols == x.cols && gain.rows == 1, "norm of {} columns, gain of {}",
                x.cols, gain.cols);
  const Tensor y = tape.New(x.rows, x.cols, dtype);  // [N,C]
  float* inv_rms = tape.training() ? tape.Keep<float>(x.rows) : nullptr;
  kernels::RmsNorm(x.matrix(), tape.bank().Value(gain), eps, y.matrix(), inv_rms);
  tape.Record({&kRmsNormOp, {x}, y, gain, tape.Keep(RmsNormSaved{inv_rms})});
  return y;
}

}  // namespace

Tensor RmsNorm(Tape& tape, const Tensor& x, const Param& gain, float eps) {
  return Normalize(tape, x, gain, eps, tape.dtype());
}

Tensor RmsNormF32(Tape& tape, const Tensor& x, const Param& gain, float eps) {
  return Normalize(tape, x, gain, eps, DType::kF32);
}

}  // namespace flashlm
