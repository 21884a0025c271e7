#include <cmath>

#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/activation/ref.h"
#include "kernels/route/route.h"

namespace flashlm {
namespace {

struct AddTokenGatedSaved {
  const float* open;  // [N], sigmoid of the gates
};

void AddTokenGatedBackward(Tape& tape, const Node& node) {
  const Tensor &x = node.inputs[0], &branch = node.inputs[1], &gate = node.inputs[2];
  const float* open = node.As<AddTokenGatedSaved>().open;
  GradientWriter dbranch(tape, branch), dgate(tape, gate);
  float* dopen = tape.Scratch(gate.rows);
  kernels::ScaleRowsGrad(branch.matrix(), nullptr, open, tape.GradientOf(node.output), dbranch.matrix(), dopen);
  for (int n = 0; n < gate.rows; ++n) *dgate.matrix().Row<float>(n) = dopen[n] * (open[n] * (1 - open[n]));
  tape.PassGradient(node.output, x);
}

std::vector<OpCase> AddTokenGatedCases() {
  return {OpCase::Make(
      "7x19", 1, 7, {{7, 19}, {7, 19}, {7, 1}},
      [](Tape& tape, const std::vector<Operand>& in) {
        return AddTokenGated(tape, in[0].tensor, in[1].tensor, in[2].tensor);
      },
      [](const auto& in, auto& out) {
        for (int i = 0; i < out.rows * out.cols; ++i) {
          out.v[i] = in[0].v[i] + kernels::ref::Sigmoid(in[2].v[i / out.cols]) * in[1].v[i];
        }
      })};
}

}  // namespace

extern const OpDef kAddTokenGatedOp;
const OpDef kAddTokenGatedOp("add_token_gated", AddTokenGatedBackward, AddTokenGatedCases);

Tensor AddTokenGated(Tape& tape, const Tensor& x, const Tensor& branch, const Tensor& gate) {
  OpTimer timer(tape, kAddTokenGatedOp);
  FLASHLM_CHECK(x.dtype == DType::kF32 && x.cols == branch.cols && gate.dtype == DType::kF32 && gate.cols == 1,
                "a gated branch of {} columns onto {}", branch.cols, x.cols);
  const Tensor y = tape.New(x.rows, x.cols, DType::kF32);  // [N,C]
  float* open = tape.Keep<float>(x.rows);
  for (int n = 0; n < x.rows; ++n) open[n] = 1 / (1 + std::exp(-gate.f32()[static_cast<int64_t>(n) * gate.stride]));
  const kernels::Matrix base = x.matrix();
  kernels::ScaleRows(branch.matrix(), nullptr, open, &base, y.matrix());
  tape.Record({&kAddTokenGatedOp, {x, branch, gate}, y, {}, tape.Keep(AddTokenGatedSaved{open})});
  return y;
}

}  // namespace flashlm
