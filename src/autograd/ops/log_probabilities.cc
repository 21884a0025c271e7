#include "autograd/linear_product.h"
#include "autograd/ops.h"
#include "kernels/loss/loss.h"

namespace flashlm {

// Not an OpDef: it runs outside training only and has no gradient.
Tensor LogProbabilities(Tape& tape, const Tensor& hidden, const Param& head, double softcap) {
  FLASHLM_CHECK(!tape.training(), "training computes its loss with CrossEntropy, which keeps no logits");
  FLASHLM_CHECK(hidden.cols == head.cols, "head of width {} over {} columns", head.cols, hidden.cols);
  const Tensor logits = tape.New(hidden.rows, head.rows, DType::kF32);  // [N,V]
  // One row of each stream is few, however long the streams' piece was.
  const kernels::RowGroups groups = hidden.rows == tape.batch() ? kernels::RowGroups::kFew : tape.row_groups();
  MultiplyLinear(tape, head, ReadForLinear(tape, head.quantization, hidden.matrix()), logits.matrix(), groups);
  kernels::LogSoftmax(static_cast<float>(softcap), logits.matrix());
  return logits;
}

void MixLogProbabilities(const Tensor& log_probs, const Tensor& others, const float* gates) {
  kernels::MixLogProbabilities(log_probs.matrix(), others.matrix(), gates);
}

}  // namespace flashlm
