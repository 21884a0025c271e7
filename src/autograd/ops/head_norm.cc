#include "kernels/norm/head_norm.h"

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/norm/ref.h"

namespace flashlm {
namespace {

struct HeadNormSaved {
  const float* inv_rms;  // [N, P*H]
};

void HeadNormBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  const Param& gains = node.parameter;
  GradientWriter dx(tape, x);
  kernels::HeadNormGrad(x.matrix(), tape.bank().Value(gains), gains.rows, gains.cols, node.As<HeadNormSaved>().inv_rms,
                        tape.GradientOf(node.output), dx.matrix(), tape.ParamGradient(gains),
                        tape.Scratch(kernels::HeadNormGradScratch(x.rows, gains.rows, gains.cols)));
}

std::vector<OpCase> HeadNormCases() {
  std::vector<OpCase> cases;
  // Values of about 1e-3 and a large eps: both count.
  for (const auto& [rows, parts, heads, dim, size, eps] :
       {std::tuple{4, 2, 3, 16, 1.0, 1e-6f}, std::tuple{70, 1, 2, 10, 1e-3, 1e-6f},
        std::tuple{2, 2, 1, 8, 1.0, 0.5f}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{} parts of {} heads x {}, eps {}", parts, heads, dim, eps), 1, rows,
        {{rows, parts * heads * dim, false, size}, {parts, dim, true}},
        [eps = eps](Tape& tape, const std::vector<Operand>& in) {
          return HeadNorm(tape, in[0].tensor, in[1].param, eps);
        },
        [heads = heads, eps = eps](const auto& in, auto& out) {
          const int dim = in[1].cols, runs = in[1].rows * heads;
          for (int i = 0; i < out.rows * runs; ++i) {
            kernels::ref::RmsNorm(in[0].data() + i * dim, in[1].data() + i % runs / heads * dim, double{eps}, 1, dim,
                                  out.data() + i * dim);
          }
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kHeadNormOp;
const OpDef kHeadNormOp("head_norm", HeadNormBackward, HeadNormCases);

Tensor HeadNorm(Tape& tape, const Tensor& x, const Param& gains, float eps) {
  OpTimer timer(tape, kHeadNormOp);
  FLASHLM_CHECK(x.cols % (gains.rows * gains.cols) == 0, "norm per head of {} columns with gains [{},{}]", x.cols,
                gains.rows, gains.cols);
  const Tensor y = tape.New(x.rows, x.cols, x.dtype);  // [N, P*H*D]
  float* inv_rms = tape.training() ? tape.Keep<float>(int64_t{x.rows} * (x.cols / gains.cols)) : nullptr;
  kernels::HeadNorm(x.matrix(), tape.bank().Value(gains), gains.rows, gains.cols, eps, y.matrix(), inv_rms);
  tape.Record({&kHeadNormOp, {x}, y, gains, tape.Keep(HeadNormSaved{inv_rms})});
  return y;
}

}  // namespace flashlm
