#include "autograd/op_case.h"
#include "autograd/ops.h"
#include "kernels/loss/loss.h"
#include "kernels/loss/ref.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

struct ValueLossSaved {
  const float* dvalues;  // [N]
};

void ValueLossBackward(Tape& tape, const Node& node) {
  const Tensor& values = node.inputs[0];
  GradientWriter gradient(tape, values, GradientWriter::Kernel::kCanAdd);
  const kernels::Matrix ours{const_cast<float*>(node.As<ValueLossSaved>().dvalues), DType::kF32, values.rows, 1, 1};
  kernels::Copy(ours, gradient.matrix(), gradient.accumulate());
}

std::vector<OpCase> ValueLossCases() {
  static constexpr float kNats[] = {1.5f, 0.2f, 3.0f, 0.7f, 2.2f, 1.1f, 0.4f, 5.0f, 0.1f, 0.9f, 2.5f, 1.7f};
  return {OpCase::Make(
      "horizon 3", 2, 6, {{12, 1}},
      [](Tape& tape, const std::vector<Operand>& in) { return ValueLoss(tape, in[0].tensor, kNats, 3, 0.5).objective; },
      [](const auto& in, auto& out) {
        const std::vector<double> nats(std::begin(kNats), std::end(kNats));
        out.v[0] = 0.5 * kernels::ref::ValueLoss(2, 6, 3, nats.data(), in[0].data());
      })};
}

}  // namespace

extern const OpDef kValueLossOp;
const OpDef kValueLossOp("value_loss", ValueLossBackward, ValueLossCases);

ValueLossResult ValueLoss(Tape& tape, const Tensor& values, const float* nats, int horizon, double scale) {
  OpTimer timer(tape, kValueLossOp);
  FLASHLM_CHECK(values.cols == 1 && horizon > 0, "value loss over {} columns, horizon {}", values.cols, horizon);
  float* dvalues = tape.training() ? tape.Keep<float>(values.rows) : nullptr;
  float* contiguous = tape.Scratch(values.rows);
  kernels::Copy(values.matrix(), {contiguous, DType::kF32, values.rows, 1, 1}, false);
  double correlation = 0;
  const double error = kernels::ValueLoss(tape.batch(), tape.length(), horizon, nats, contiguous,
                                          static_cast<float>(scale), dvalues, &correlation);
  const Tensor objective = tape.New(1, 1, DType::kF32);
  *objective.f32() = static_cast<float>(scale * error);
  tape.Record({&kValueLossOp, {values}, objective, {}, tape.Keep(ValueLossSaved{dvalues})});
  if (tape.training()) tape.Seed(objective, 1.0f);
  return {objective, error, correlation};
}

}  // namespace flashlm
