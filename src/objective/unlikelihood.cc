// The loss against repetition of v7.5, computed by the cross-entropy in passing, with the index put right: where the
// published loss punished the token before its target, which was two ahead, that would now be the true next token.
// Punished is the current token, x_t at position t: repeating it. Where the text itself repeats it, nothing is, for the
// two terms would pull against each other.
#include "objective/term.h"

namespace flashlm {
namespace {

class UnlikelihoodTerm final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("unlikelihood_weight", weight_, 0, 100, "weight of the loss against repeating the current token");
  }
  double Weight(int64_t, double) const override { return weight_; }
  std::span<const char* const> Parts() const override {
    static constexpr const char* kParts[] = {"unlikelihood"};
    return {kParts, weight_ > 0 ? std::size(kParts) : 0};
  }
  void Fuse(Tape& tape, const TermInputs& inputs, double weight, CrossEntropyConfig& next) const override {
    int32_t* unlikely = tape.Keep<int32_t>(int64_t{tape.rows()});
    for (int n = 0; n < tape.rows(); ++n) {
      unlikely[n] = inputs.tokens[n] == inputs.targets[n] ? -1 : inputs.tokens[n];
    }
    next.unlikely = unlikely;
    next.unlikely_weight = weight;
  }
  double Add(Tape& tape, const TermInputs&, const CrossEntropyResult& next, double,
             std::span<double> parts) const override {
    return parts[0] = MeanOf(next.unlikelihoods, tape.rows(), tape.rows());
  }

 private:
  double weight_ = 0;
};

FLASHLM_REGISTER_TERM("unlikelihood", UnlikelihoodTerm);

}  // namespace
}  // namespace flashlm
