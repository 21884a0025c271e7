// Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix by Newton-Schulz iteration instead of the raw
// update. Works on one matrix; its momentum lives in the bank's first moments.
#pragma once

#include <cstdint>

#include "tensor/param_bank.h"

namespace flashlm {

class Muon {
 public:
  // The matrix [rows, cols] at `offset` of the bank's flat arrays.
  Muon(int64_t offset, int rows, int cols) : offset_(offset), rows_(rows), cols_(cols) {}

  // m <- momentum m + g;  W <- W (1 - lr wd) - lr sqrt(max(1, rows/cols)) orthogonal(g + momentum m). Zeroes g.
  // The update does not depend on the gradient's scale, so clipping does not apply.
  void Update(ParamBank& bank, double lr, double momentum, double weight_decay, int steps, DType operands) const;

 private:
  int64_t offset_;
  int rows_, cols_;
};

// x [rows, cols] (f32, contiguous) <- roughly U V^T of its singular value decomposition (singular values in 0.7..1.2),
// by `steps` quintic Newton-Schulz iterations with the coefficients 3.4445, -4.7750, 2.0315.
// operands: what its matrix products read, f32 or bf16; sums are f32 either way.
void Orthogonalize(float* x, int rows, int cols, int steps, DType operands = DType::kF32);

}  // namespace flashlm
