// Constant, then down to the end of the budget with a power of what is left of it: steeper first and flatter at its end
// than a straight line.
#include <algorithm>
#include <cmath>

#include "optim/schedule.h"

namespace flashlm {
namespace {

class Power final : public Schedule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("power_fraction", fraction_, 0.001, 1, "power: part of the budget, at its end, in which the rate falls");
    v.Real("power_exponent", exponent_, 0.1, 10, "power: of the part that is left; 1: a straight line");
  }
  double Height(double fraction, double) const override {
    return std::pow(std::min(1.0, (1.0 - fraction) / fraction_), exponent_);
  }

 private:
  double fraction_ = 0.6, exponent_ = 1.2;
};

FLASHLM_REGISTER_SCHEDULE("power", Power);

}  // namespace
}  // namespace flashlm
