// Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023): every value moves by the same amount,
// along the sign of an interpolated momentum. One number is remembered of each value where AdamW needs two.
//
//   u = sign(b1 m + (1 - b1) g);  W <- W (1 - lr wd) - lr u;  m <- b2 m + (1 - b2) g
//
// It is here to show what a new optimiser rule takes (CONTRIBUTING.md). Rates are three to ten times smaller than
// AdamW's, the decay as much larger.
#include "base/parallel.h"
#include "optim/rule.h"

namespace flashlm {
namespace {

class Lion final : public UpdateRule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("lion_beta1", beta1_, 0, 0.9999, "Lion: weight of the momentum in an update's sign");
    v.Real("lion_beta2", beta2_, 0, 0.9999, "Lion: decay of the momentum");
  }
  std::vector<std::string> States() const override { return {"m"}; }

  void Update(const RulePiece& piece, const RuleStep& step) const override {
    const auto b1 = static_cast<float>(beta1_), b2 = static_cast<float>(beta2_);
    const auto scale = static_cast<float>(step.gradient_scale), lr = static_cast<float>(step.lr);
    const auto keep = static_cast<float>(1 - step.lr * step.weight_decay);
    ParallelBlocks(piece.size, 16384, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float g = scale * piece.gradients[i];
        float& m = piece.state[0][i];
        const float u = b1 * m + (1 - b1) * g;
        const float sign = static_cast<float>(u > 0) - static_cast<float>(u < 0);
        piece.values[i] = keep * piece.values[i] - lr * sign;
        m = b2 * m + (1 - b2) * g;
        piece.gradients[i] = 0;
      }
    });
  }

 private:
  double beta1_ = 0.9, beta2_ = 0.99;
};

FLASHLM_REGISTER_RULE("lion", Lion);

}  // namespace
}  // namespace flashlm
