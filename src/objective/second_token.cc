// Cross-entropy of the token after next, x_{t+2}, with a head of its own on the same hidden state; over the positions
// that have one: all but the last of a sequence.
#include <algorithm>

#include "objective/term.h"

namespace flashlm {
namespace {

class SecondToken final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("second_token_weight", weight_, 0, 100,
           "weight of the second head's loss on the token after next (model.second_head)");
    v.Real("second_token_start", start_, 0, 1, "part of the budget after which that weight begins to rise");
    v.Real("second_token_full", full_, 0, 1, "part of the budget after which it has its full value");
  }
  std::string Lacks(const Json& model) const override { return model.value("second_head", false) ? "" : "second head"; }
  void Validate(const Json& model) const override {
    if (const std::string lacking = Lacks(model); weight_ > 0 && !lacking.empty()) {
      throw UsageError(fmt::format("train.second_token_weight = {}: the model has no {}", weight_, lacking),
                       "add --set model.second_head=true, if the architecture has that setting");
    }
  }
  double Weight(int64_t, double fraction) const override {
    const double rise = full_ - start_;
    const double risen =
        rise > 0 ? std::clamp((fraction - start_) / rise, 0.0, 1.0) : static_cast<double>(fraction >= full_);
    return risen * weight_;
  }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"second_token"};
    return {kParts, weight_ > 0 ? std::size(kParts) : 0};
  }
  double Add(Tape& tape, const TermInputs& inputs, const CrossEntropyResult&, double weight,
             std::span<double> parts) const override {
    const Prediction& prediction = inputs.prediction;
    const int rows = tape.rows(), length = tape.length(), count = tape.batch() * (length - 1);
    if (prediction.second_head.offset < 0 || count == 0) return 0;
    int32_t* after_next = tape.Keep<int32_t>(int64_t{rows});
    for (int n = 0; n < rows; ++n) after_next[n] = n % length == length - 1 ? -1 : inputs.targets[n + 1];
    const CrossEntropyResult loss =
        CrossEntropy(tape, prediction.hidden, prediction.second_head, after_next,
                     {.softcap = prediction.softcap, .scale = weight * inputs.share / count});
    return parts[0] = MeanOf(loss.nats, count, rows);
  }

 private:
  double weight_ = 0, start_ = 0, full_ = 0;
};

FLASHLM_REGISTER_TERM("second-token", SecondToken);

}  // namespace
}  // namespace flashlm
