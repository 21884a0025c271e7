// Half a cosine from the end of the warm-up to the end of the budget.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "optim/schedule.h"

namespace flashlm {
namespace {

class Cosine final : public Schedule {
 public:
  double Height(double fraction, double warmup) const override {
    const double p = (fraction - warmup) / std::max(1e-12, 1.0 - warmup);
    return 0.5 * (1.0 + std::cos(std::numbers::pi * p));
  }
};

FLASHLM_REGISTER_SCHEDULE("cosine", Cosine);

}  // namespace
}  // namespace flashlm
