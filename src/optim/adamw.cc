// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
#include "kernels/optimizer/optimizer.h"
#include "optim/rule.h"

namespace flashlm {
namespace {

class AdamW final : public UpdateRule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("beta1", beta1_, 0, 0.9999, "decay of AdamW's first moment");
    v.Real("beta2", beta2_, 0, 0.999999, "decay of AdamW's second moment");
    v.Real("eps", eps_, 0, 1, "added to AdamW's denominator");
  }
  bool DecaysCautiously() const override { return true; }
  std::vector<std::string> States() const override { return {"m", "v"}; }
  void Update(const RulePiece& piece, const RuleStep& step) const override {
    kernels::AdamW({step.lr, beta1_, beta2_, eps_, step.weight_decay, step.cautious, step.update, step.gradient_scale},
                   piece.size, piece.values, piece.gradients, piece.state[0], piece.state[1]);
  }

 private:
  double beta1_ = 0.9, beta2_ = 0.95, eps_ = 1e-8;
};

FLASHLM_REGISTER_RULE("adamw", AdamW);

}  // namespace
}  // namespace flashlm
