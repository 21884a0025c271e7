#include "autograd/ops.h"

namespace flashlm {

// One name per operation, sorted.
#define FLASHLM_FOR_EACH_OP(apply)                                                                                   \
  apply(kAddDropoutOp) apply(kAddMixtureOp) apply(kAddScalarGatedOp) apply(kAddTokenGatedOp) apply(kBalanceLossOp)   \
      apply(kBroadcastOp) apply(kConvertOp) apply(kCrossEntropyOp) apply(kDecayScanOp) apply(kDeltaMemoryOp)         \
          apply(kDifferentialHeadsOp) apply(kDropoutOp) apply(kEmbeddingOp) apply(kGainLossOp) apply(kGatedConvOp)   \
              apply(kGatedScanOp) apply(kGateMixOp) apply(kGeGluOp) apply(kHashedEmbeddingOp) apply(kHeadGateOp)     \
                  apply(kHeadNormOp) apply(kLayerNormOp) apply(kLinearOp) apply(kPairWithPastOp) apply(kReasoningOp) \
                      apply(kReluSquaredOp) apply(kRepeatHeadsOp) apply(kRmsNormOp) apply(kRoutedExpertsOp)          \
                          apply(kRowDotOp) apply(kRunningMeanOp) apply(kSigmoidGateOp) apply(kSiluOp)                \
                              apply(kSlotReadOp) apply(kSwiGluOp) apply(kTokenShiftOp) apply(kValueLossOp)           \
                                  apply(kWeightedSumOp) apply(kWindowAttentionOp)

#define FLASHLM_DECLARE_OP(op) extern const OpDef op;
#define FLASHLM_OP_ADDRESS(op) &(op),

FLASHLM_FOR_EACH_OP(FLASHLM_DECLARE_OP)

const std::vector<const OpDef*>& AllOps() {
  static const std::vector<const OpDef*> ops = {FLASHLM_FOR_EACH_OP(FLASHLM_OP_ADDRESS)};
  return ops;
}

}  // namespace flashlm
