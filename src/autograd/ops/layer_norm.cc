#include "kernels/norm/layer_norm.h"

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/norm/ref.h"

namespace flashlm {
namespace {

constexpr float kEps = 1e-5f;  // of every published layer norm

struct LayerNormSaved {
  const float* moments;  // [N, groups, 2]
  Param bias;
  int groups;
};

void LayerNormBackward(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  const LayerNormSaved& saved = node.As<LayerNormSaved>();
  GradientWriter dx(tape, x, GradientWriter::Kernel::kCanAdd);
  kernels::LayerNormGrad(x.matrix(), tape.bank().Value(node.parameter), saved.groups, saved.moments,
                         tape.GradientOf(node.output), dx.matrix(), dx.accumulate(), tape.ParamGradient(node.parameter),
                         tape.ParamGradient(saved.bias), tape.Scratch(kernels::LayerNormGradScratch(x.rows, x.cols)));
}

std::vector<OpCase> LayerNormCases() {
  std::vector<OpCase> cases;
  for (const auto& [rows, cols, groups] : {std::tuple{4, 16, 1}, std::tuple{3, 33, 1}, std::tuple{70, 21, 3}}) {
    cases.push_back(OpCase::Make(
        fmt::format("{}x{}, {} groups", rows, cols, groups), 1, rows,
        {{rows, cols, false, 1, 0.5}, {1, cols, true}, {1, cols, true}},
        [groups = groups](Tape& tape, const std::vector<Operand>& in) {
          return LayerNormF32(tape, in[0].tensor, in[1].param, in[2].param, groups);
        },
        [groups = groups](const auto& in, auto& out) {
          kernels::ref::LayerNorm(in[0].data(), in[1].data(), in[2].data(), groups, double{kEps}, out.rows, out.cols,
                                  out.data());
        }));
  }
  return cases;
}

}  // namespace

extern const OpDef kLayerNormOp;
const OpDef kLayerNormOp("layer_norm", LayerNormBackward, LayerNormCases);

namespace {

Tensor Normalize(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups, DType dtype) {
  OpTimer timer(tape, kLayerNormOp);
  FLASHLM_CHECK(gain.cols == x.cols && bias.cols == x.cols && x.cols % groups == 0,
                "layer norm of {} columns in {} groups, gain of {}", x.cols, groups, gain.cols);
  const Tensor y = tape.New(x.rows, x.cols, dtype);  // [N,C]
  float* moments = tape.training() ? tape.Keep<float>(int64_t{x.rows} * groups * 2) : nullptr;
  kernels::LayerNorm(x.matrix(), tape.bank().Value(gain), tape.bank().Value(bias), groups, kEps, y.matrix(), moments);
  tape.Uses(bias);
  tape.Record({&kLayerNormOp, {x}, y, gain, tape.Keep(LayerNormSaved{moments, bias, groups})});
  return y;
}

}  // namespace

Tensor LayerNorm(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups) {
  return Normalize(tape, x, gain, bias, groups, tape.dtype());
}

Tensor LayerNormF32(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups) {
  return Normalize(tape, x, gain, bias, groups, DType::kF32);
}

}  // namespace flashlm
