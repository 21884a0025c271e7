// Constant, then a straight line down to the end of the budget.
#include "optim/schedule.h"

namespace flashlm {
namespace {

class Linear final : public Schedule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("decay_fraction", decay_fraction_, 0, 1, "linear: part of the budget, at its end, in which the rate falls");
  }
  double Height(double fraction, double) const override {
    return fraction > 1.0 - decay_fraction_ ? (1.0 - fraction) / decay_fraction_ : 1.0;
  }

 private:
  double decay_fraction_ = 0.5;
};

FLASHLM_REGISTER_SCHEDULE("linear", Linear);

}  // namespace
}  // namespace flashlm
