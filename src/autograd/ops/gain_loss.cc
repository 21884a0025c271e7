#include "autograd/op_case.h"
#include "autograd/ops.h"

namespace flashlm {
namespace {

struct GainLossSaved {
  const float* errors;  // [N,D]: choice_d - choice_0 - gain_d
  float factor;         // 2 scale / N
};

void GainLossBackward(Tape& tape, const Node& node) {
  const GainLossSaved& saved = node.As<GainLossSaved>();
  const Tensor& choices = node.inputs[0];
  const float factor = saved.factor * *static_cast<const float*>(tape.GradientOf(node.output).data);
  GradientWriter gradient(tape, choices);
  for (int n = 0; n < choices.rows; ++n) {
    const float* error = saved.errors + int64_t{n} * choices.cols;
    float* row = gradient.matrix().Row<float>(n);
    row[0] = 0;
    for (int d = 1; d < choices.cols; ++d) {
      row[d] = factor * error[d];
      row[0] -= row[d];
    }
  }
}

std::vector<OpCase> GainLossCases() {
  static constexpr float kGains[] = {0, 0.5f, -1.5f, 0, 2, 0.25f, 0, 0, 1, 0, -0.75f, 3};
  return {OpCase::Make(
      "4 rows of 3", 1, 4, {{4, 3}},
      [](Tape& tape, const std::vector<Operand>& in) { return GainLoss(tape, in[0].tensor, kGains, 0.5).objective; },
      [](const auto& in, auto& out) {
        out.v[0] = 0;
        for (size_t n = 0; n < 4; ++n) {
          for (size_t d = 1; d < 3; ++d) {
            const auto error = in[0].v[3 * n + d] - in[0].v[3 * n] - static_cast<double>(kGains[3 * n + d]);
            out.v[0] += 0.5 / 4 * error * error;
          }
        }
      })};
}

}  // namespace

extern const OpDef kGainLossOp;
const OpDef kGainLossOp("gain_loss", GainLossBackward, GainLossCases);

GainLossResult GainLoss(Tape& tape, const Tensor& choices, const float* gains, double scale) {
  OpTimer timer(tape, kGainLossOp);
  FLASHLM_CHECK(choices.dtype == DType::kF32, "choices must be f32");
  float* errors = tape.Keep<float>(int64_t{choices.rows} * choices.cols);
  double sum = 0;
  for (int n = 0; n < choices.rows; ++n) {
    const float* row = choices.matrix().Row<float>(n);
    for (int64_t d = 0, at = int64_t{n} * choices.cols; d < choices.cols; ++d) {
      const float error = d == 0 ? 0.0f : row[d] - row[0] - gains[at + d];
      errors[at + d] = error;
      sum += static_cast<double>(error) * error;
    }
  }
  const double squared_error = sum / choices.rows;
  const Tensor objective = tape.New(1, 1, DType::kF32);
  *objective.f32() = static_cast<float>(scale * squared_error);
  tape.Record({&kGainLossOp,
               {choices},
               objective,
               {},
               tape.Keep(GainLossSaved{errors, static_cast<float>(2 * scale / choices.rows)})});
  if (tape.training()) tape.Seed(objective, 1.0f);
  return {objective, squared_error};
}

}  // namespace flashlm
