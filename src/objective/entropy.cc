// The entropy bonus: -H, the mean entropy of the predicted distributions, which the cross-entropy computes in passing.
#include "objective/term.h"

namespace flashlm {
namespace {

class Entropy final : public Term {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("entropy_weight", weight_, 0, 100, "weight of the entropy bonus");
  }
  double Weight(int64_t, double) const override { return weight_; }
  void Fuse(Tape&, const TermInputs&, double weight, CrossEntropyConfig& next) const override {
    next.entropy_weight = weight;
  }
  double Add(Tape& tape, const TermInputs&, const CrossEntropyResult& next, double, std::span<double>) const override {
    return -MeanOf(next.entropies, tape.rows(), tape.rows());
  }

 private:
  double weight_ = 0;
};

FLASHLM_REGISTER_TERM("entropy", Entropy);

}  // namespace
}  // namespace flashlm
