#include "autograd/ops.h"

namespace flashlm {

extern const OpDef kEmbeddingOp, kRmsNormOp, kLinearOp, kSwiGluOp, kGateMixOp, kDropoutOp, kAddDropoutOp,
    kWindowAttentionOp, kDeltaMemoryOp, kRowDotOp, kCrossEntropyOp, kValueLossOp;

const std::vector<const OpDef*>& AllOps() {
  static const std::vector<const OpDef*> ops = {
      &kEmbeddingOp, &kRmsNormOp,        &kLinearOp,      &kSwiGluOp, &kGateMixOp,      &kDropoutOp,
      &kAddDropoutOp, &kWindowAttentionOp, &kDeltaMemoryOp, &kRowDotOp, &kCrossEntropyOp, &kValueLossOp};
  return ops;
}

}  // namespace flashlm
