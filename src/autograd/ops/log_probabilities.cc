#include "autograd/ops.h"
#include "autograd/product.h"
#include "kernels/loss/loss.h"

namespace flashlm {

// Not an OpDef: it runs outside training only and has no gradient.
Tensor LogProbabilities(Tape& tape, const Tensor& hidden, const Param& head, double softcap) {
  FLASHLM_CHECK(!tape.training(), "training computes its loss with CrossEntropy, which keeps no logits");
  FLASHLM_CHECK(hidden.cols == head.cols, "head of width {} over {} columns", head.cols, hidden.cols);
  const Tensor logits = tape.New(hidden.rows, head.rows, DType::kF32);  // [N,V]
  Product(tape, hidden.matrix(), head, logits.matrix());
  kernels::LogSoftmax(static_cast<float>(softcap), logits.matrix());
  return logits;
}

}  // namespace flashlm
