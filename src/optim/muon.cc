#include "optim/muon.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "kernels/vector/vector.h"
#include "optim/rule.h"

namespace flashlm {
namespace {

using kernels::Matrix;

constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;

// Work memory of a thread, kept between calls: the largest matrix decides once.
struct Workspace {
  std::vector<float> update, gram, polynomial, next;
  std::vector<BFloat16> x16, gram16, polynomial16;
};

Workspace& ThreadWorkspace() {
  thread_local Workspace workspace;
  return workspace;
}

template <class T>
T* Room(std::vector<T>& memory, int64_t n) {
  if (static_cast<int64_t>(memory.size()) < n) memory.resize(static_cast<size_t>(n));
  return memory.data();
}

}  // namespace

void Orthogonalize(float* x, int rows, int cols, int steps, DType operands) {
  Workspace& work = ThreadWorkspace();
  const int64_t size = int64_t{rows} * cols;
  const bool wide = rows <= cols;  // the Gram matrix is built on the short side
  const int n = wide ? rows : cols;
  const auto operand = [&](float* from, std::vector<BFloat16>& memory, int r, int c) -> Matrix {
    const Matrix f32{from, DType::kF32, r, c, c};
    if (operands != DType::kBF16) return f32;
    const Matrix half{Room(memory, int64_t{r} * c), DType::kBF16, r, c, c};
    kernels::Copy(f32, half, false);
    return half;
  };

  const float scale = static_cast<float>(1.0 / (std::sqrt(kernels::SumOfSquares(x, size)) + 1e-7));
  kernels::Axpby(scale, x, 0, x, size);
  float* gram = Room(work.gram, int64_t{n} * n);
  float* polynomial = Room(work.polynomial, int64_t{n} * n);
  float* next = Room(work.next, size);
  const Matrix gram_matrix{gram, DType::kF32, n, n, n}, polynomial_matrix{polynomial, DType::kF32, n, n, n};
  const Matrix next_matrix{next, DType::kF32, rows, cols, cols};
  for (int step = 0; step < steps; ++step) {
    const Matrix x_operand = operand(x, work.x16, rows, cols);
    kernels::MatMul(x_operand, !wide, x_operand, wide, gram_matrix, false);  // G = X X^T (or X^T X)
    const Matrix gram_operand = operand(gram, work.gram16, n, n);
    kernels::MatMul(gram_operand, false, gram_operand, false, polynomial_matrix, false);
    kernels::Axpby(kB, gram, kC, polynomial, int64_t{n} * n);
    const Matrix p_operand = operand(polynomial, work.polynomial16, n, n);
    if (wide) {
      kernels::MatMul(p_operand, false, x_operand, false, next_matrix, false);
    } else {
      kernels::MatMul(x_operand, false, p_operand, false, next_matrix, false);
    }
    kernels::Axpby(1, next, kA, x, size);
  }
}

namespace {

class Muon final : public UpdateRule {
 public:
  void VisitFields(FieldVisitor& v) override {
    v.Real("muon_lr", lr_, 0, 10, "peak learning rate of Muon");
    v.Real("muon_momentum", momentum_, 0, 0.9999, "Nesterov momentum of Muon");
    v.Int("muon_steps", steps_, 1, 10, "Newton-Schulz iterations of Muon");
  }
  bool Takes(Role role) const override { return role == Role::kMatrix; }
  std::vector<std::string> States() const override { return {"m"}; }
  bool ByMatrix() const override { return true; }
  double PeakRate(double) const override { return lr_; }

  // m <- momentum m + g;  W <- W (1 - lr wd) - lr sqrt(max(1, rows/cols)) orthogonal(g + momentum m). The update does
  // not depend on the gradient's scale, so clipping does not apply.
  void Update(const RulePiece& piece, const RuleStep& step) const override {
    const int64_t size = piece.size;
    float* moment = piece.state[0];
    float* update = Room(ThreadWorkspace().update, size);
    const auto mu = static_cast<float>(momentum_);
    kernels::Axpby(1, piece.gradients, mu, moment, size);
    std::memcpy(update, piece.gradients, static_cast<size_t>(size) * sizeof(float));
    kernels::Axpby(mu, moment, 1, update, size);
    std::memset(piece.gradients, 0, static_cast<size_t>(size) * sizeof(float));
    Orthogonalize(update, piece.rows, piece.cols, steps_, step.dtype);
    const auto keep = static_cast<float>(1.0 - step.lr * step.weight_decay);
    const double shape = std::sqrt(std::max(1.0, static_cast<double>(piece.rows) / piece.cols));
    kernels::Axpby(static_cast<float>(-(step.lr * shape)), update, keep, piece.values, size);
  }

 private:
  double lr_ = 0.02, momentum_ = 0.95;
  int steps_ = 5;
};

FLASHLM_REGISTER_RULE("muon", Muon);

}  // namespace

}  // namespace flashlm
