#include "autograd/ops.h"

namespace flashlm {

// One name per operation, sorted.
#define FLASHLM_FOR_EACH_OP(apply) \
  apply(kAddDropoutOp)             \
  apply(kAddGatedOp)               \
  apply(kCrossEntropyOp)           \
  apply(kDeltaMemoryOp)            \
  apply(kDifferentialHeadsOp)      \
  apply(kDropoutOp)                \
  apply(kEmbeddingOp)              \
  apply(kGateMixOp)                \
  apply(kGeGluOp)                  \
  apply(kHeadNormOp)               \
  apply(kLayerNormOp)              \
  apply(kLinearOp)                 \
  apply(kRmsNormOp)                \
  apply(kRoutedExpertsOp)          \
  apply(kRowDotOp)                 \
  apply(kSiluOp)                   \
  apply(kSwiGluOp)                 \
  apply(kValueLossOp)              \
  apply(kWindowAttentionOp)

#define FLASHLM_DECLARE_OP(op) extern const OpDef op;
#define FLASHLM_OP_ADDRESS(op) &op,

FLASHLM_FOR_EACH_OP(FLASHLM_DECLARE_OP)

const std::vector<const OpDef*>& AllOps() {
  static const std::vector<const OpDef*> ops = {FLASHLM_FOR_EACH_OP(FLASHLM_OP_ADDRESS)};
  return ops;
}

}  // namespace flashlm
