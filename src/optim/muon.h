// Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix by Newton-Schulz iteration instead of the raw
// update. The rule itself is registered (optim/rule.h); here is its matrix function.
#pragma once

#include "base/dtype.h"

namespace flashlm {

// x [rows, cols] (f32, contiguous) <- roughly U V^T of its singular value decomposition (singular values in 0.7..1.2),
// by `steps` quintic Newton-Schulz iterations with the coefficients 3.4445, -4.7750, 2.0315.
// operands: what its matrix products read, f32 or bf16; sums are f32 either way.
void Orthogonalize(float* x, int rows, int cols, int steps, DType operands = DType::kF32);

}  // namespace flashlm
