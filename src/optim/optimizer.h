// Updates a parameter bank from its gradients. Parameters are grouped by role: matrices are decayed (and go to Muon if
// chosen); embedding, value heads, gains and biases are not; buffers are left alone.
#pragma once

#include <cstdint>
#include <vector>

#include "optim/config.h"
#include "optim/muon.h"
#include "tensor/param_bank.h"

namespace flashlm {

class Optimizer {
 public:
  // dtype: what the matrix products of the updates read (those of Muon), as the training's own.
  Optimizer(const OptimConfig& config, ParamBank& bank, DType dtype = DType::kF32);

  // L2 norm over all gradients.
  double GradientNorm() const;
  // Applies the gradients, scaled down to the clipping norm, and zeroes them. `factor`: the schedule's.
  // `update`: 1-based count of updates made, for AdamW's bias correction.
  void Update(double gradient_norm, double factor, int64_t update);
  // Drops the gradients of a step that must not be applied.
  void Discard();

 private:
  struct Range {
    int64_t begin, end;  // in the bank's flat arrays
    double lr, weight_decay;
  };
  OptimConfig config_;
  ParamBank& bank_;
  DType dtype_;
  std::vector<Range> adamw_;
  std::vector<Muon> muon_;
};

}  // namespace flashlm
