// The nearest orthogonal matrix, by Newton-Schulz iterations: what Muon (Jordan et al. 2024) takes for an update.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace flashlm {

enum class MuonForm : uint8_t {
  // Divided by its Frobenius norm, then X <- a X + (b A + c A^2) X with A = X X^T, the same coefficients each time:
  // 3.4445, -4.7750, 2.0315. Singular values end in 0.7..1.2.
  kQuintic,
  // Its rows (of the short side) scaled to singular values of at most 1, but of many near it (arXiv 2512.04632), then
  // other coefficients each time, the last `steps` of the five that are published with it; they end in 0.97..1.15.
  // Four such steps come as near as five of the others.
  kAol,
};
constexpr int kMostAolSteps = 5;

struct Orthogonalization {
  int steps = 5;  // of kAol at most kMostAolSteps
  MuonForm form = MuonForm::kQuintic;
  // Iterate on the short side alone and multiply X once (Zhang, Amsel, Chen and Dao 2026), where the long side is at
  // least twice as long. In bf16 the Gram matrix drifts from that of the product; there every second step multiplies X
  // and computes it anew.
  bool gram = false;
  DType operands = DType::kF32;  // what its matrix products read; sums are f32 either way
};

// x [rows, cols] (f32, contiguous) <- roughly U V^T of its singular value decomposition.
void Orthogonalize(float* x, int rows, int cols, const Orthogonalization& how);

}  // namespace flashlm
