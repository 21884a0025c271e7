#include "autograd/op_case.h"
#include "autograd/ops.h"

namespace flashlm {
namespace {

struct BalanceLossSaved {
  const float* shares;
  float factor;  // weight * K
};

void BalanceLossBackward(Tape& tape, const Node& node) {
  const BalanceLossSaved& saved = node.As<BalanceLossSaved>();
  const Tensor& usage = node.inputs[0];
  const float upstream = *static_cast<const float*>(tape.GradientOf(node.output).data);
  GradientWriter dusage(tape, usage);
  for (int k = 0; k < usage.cols; ++k) {
    dusage.matrix().Row<float>(0)[k] = upstream * saved.factor * saved.shares[k];
  }
}

std::vector<OpCase> BalanceLossCases() {
  static constexpr float kShares[] = {0.1f, 0.4f, 0.2f, 0.3f};
  return {OpCase::Make(
      "4 experts", 1, 1, {{1, 4}},
      [](Tape& tape, const std::vector<Operand>& in) { return BalanceLoss(tape, in[0].tensor, kShares, 0.5); },
      [](const auto& in, auto& out) {
        out.v[0] = 0;
        for (size_t k = 0; k < 4; ++k) out.v[0] += 0.5 * 4 * static_cast<double>(kShares[k]) * in[0].v[k];
      })};
}

}  // namespace

extern const OpDef kBalanceLossOp;
const OpDef kBalanceLossOp("balance_loss", BalanceLossBackward, BalanceLossCases);

Tensor BalanceLoss(Tape& tape, const Tensor& usage, const float* shares, double weight) {
  OpTimer timer(tape, kBalanceLossOp);
  FLASHLM_CHECK(usage.rows == 1 && usage.dtype == DType::kF32, "usage of {} rows", usage.rows);
  const Tensor loss = tape.New(1, 1, DType::kF32);
  const auto factor = static_cast<float>(weight * usage.cols);
  *loss.f32() = 0;
  for (int k = 0; k < usage.cols; ++k) *loss.f32() += factor * shares[k] * usage.f32()[k];
  tape.Record({&kBalanceLossOp, {usage}, loss, {}, tape.Keep(BalanceLossSaved{shares, factor})});
  return loss;
}

}  // namespace flashlm
