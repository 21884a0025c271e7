// The look-ahead value loss: a value head predicts the mean cross-entropy of the tokens to come
// (docs/spec/training.md#value-loss).
#include "objective/term.h"

namespace flashlm {
namespace {

class Value final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("value_weight", weight_, 0, 100, "weight of the look-ahead value loss");
    v.Int("value_horizon", horizon_, 1, 4096, "tokens whose mean cross-entropy a value head predicts");
    v.Int("value_start_step", start_step_, 0, 1 << 30, "step from which value heads are trained");
  }
  std::string Lacks(const Json& model) const override { return model.value("value_heads", false) ? "" : "value heads"; }
  double Weight(int64_t step, double) const override { return step >= start_step_ ? weight_ : 0.0; }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"value_loss", "value_correlation"};
    return kParts;
  }
  double Add(Tape& tape, const TermInputs& inputs, const CrossEntropyResult& next, double weight,
             std::span<double> parts) const override {
    const int count = inputs.prediction.value_count;
    for (int i = 0; i < count; ++i) {
      const ValueLossResult value =
          ValueLoss(tape, inputs.prediction.values[i], next.nats, horizon_, weight * inputs.share / count);
      parts[0] += value.mean_squared_error / count;
      parts[1] = value.correlation;  // of the last layer
    }
    return parts[0];
  }

 private:
  double weight_ = 0.01;
  int horizon_ = kValueHorizon, start_step_ = 100;
};

FLASHLM_REGISTER_TERM("value", Value);

}  // namespace
}  // namespace flashlm
