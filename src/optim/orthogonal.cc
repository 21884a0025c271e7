#include "optim/orthogonal.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/gemm/gemm.h"
#include "kernels/optimizer/muon.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

using kernels::Matrix;

struct Coefficients {
  float a, b, c;
};

constexpr Coefficients kQuintic = {3.4445f, -4.7750f, 2.0315f};
// Of the reference implementation of Turbo-Muon. The set of four that is often copied, (4.0098, -7.0585, 2.4635) first,
// comes as near on spectra without large values, but turns the sign of singular values above 0.88, which a gradient of
// low rank has: its largest direction would be climbed.
constexpr Coefficients kAol[kMostAolSteps] = {{4.0848f, -6.8946f, 2.9270f},
                                              {3.9505f, -6.3029f, 2.6377f},
                                              {3.7418f, -5.5913f, 2.3037f},
                                              {2.8769f, -3.1427f, 1.2046f},
                                              {2.8366f, -3.0525f, 1.2012f}};

Coefficients CoefficientsOf(const Orthogonalization& how, int step) {
  return how.form == MuonForm::kAol ? kAol[kMostAolSteps - how.steps + step] : kQuintic;
}

// Work memory of a thread, kept between calls: the largest matrix decides once.
struct Workspace {
  std::vector<float> gram, polynomial, next, scales, product, spare;
  std::vector<BFloat16> x16, gram16, polynomial16, next16, product16, spare16;
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

// A matrix in the operands' type.
Matrix RoomFor(DType type, std::vector<float>& f32, std::vector<BFloat16>& bf16, int64_t rows, int64_t cols) {
  void* memory = type == DType::kBF16 ? static_cast<void*>(Room(bf16, rows * cols)) : Room(f32, rows * cols);
  return {memory, type, rows, cols, cols};
}

// y[r][c] <- y[c][r] in the blocks below those on the diagonal. block: a multiple of 32.
template <class T>
void MirrorBlocks(const Matrix& y, int64_t block) {
  constexpr int64_t kTile = 32;  // whose lines stay in the nearest cache while they are read across
  for (int64_t r = block; r < y.rows; r += kTile) {
    const int64_t rows_end = std::min(r + kTile, y.rows);
    for (int64_t c = 0; c < r / block * block; c += kTile) {
      for (int64_t i = r; i < rows_end; ++i) {
        T* const to = y.Row<T>(i);
        for (int64_t j = c; j < c + kTile; ++j) to[j] = y.Row<T>(j)[i];
      }
    }
  }
}

// y = a b of which is known that it is symmetric, both as MatMul has them: the blocks above the diagonal are computed.
void MatMulSymmetric(const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b, const Matrix& y) {
  constexpr int64_t kBlock = 96;  // fewer rows at a time are multiplied at less than the full rate
  const int64_t n = y.rows;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin), left = n - begin;
    kernels::MatMul(transpose_a ? a.Columns(begin, count) : a.Rows(begin, count), transpose_a,
                    transpose_b ? b.Rows(begin, left) : b.Columns(begin, left), transpose_b,
                    y.Rows(begin, count).Columns(begin, left), false);
  }
  kernels::Dispatch(y.dtype, [&]<class T>() { MirrorBlocks<T>(y, kBlock); });
}

void Normalize(float* x, int64_t size) {
  const float scale = static_cast<float>(1.0 / (std::sqrt(kernels::SumOfSquares(x, size)) + 1e-7));
  kernels::Axpby(scale, x, 0, x, size);
}

// The iteration as published: X stays f32 between its steps, and so do the Gram matrix and its polynomial, which only
// products see rounded.
void Quintic(float* x, int rows, int cols, int steps, DType operands) {
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

  Normalize(x, size);
  float* gram = Room(work.gram, int64_t{n} * n);
  float* polynomial = Room(work.polynomial, int64_t{n} * n);
  float* next = Room(work.next, size);
  const Matrix gram_matrix{gram, DType::kF32, n, n, n}, polynomial_matrix{polynomial, DType::kF32, n, n, n};
  const Matrix next_matrix{next, DType::kF32, rows, cols, cols};
  for (int step = 0; step < steps; ++step) {
    const Matrix x_operand = operand(x, work.x16, rows, cols);
    MatMulSymmetric(x_operand, !wide, x_operand, wide, gram_matrix);  // G = X X^T (or X^T X)
    const Matrix gram_operand = operand(gram, work.gram16, n, n);
    MatMulSymmetric(gram_operand, false, gram_operand, false, polynomial_matrix);
    kernels::Axpby(kQuintic.b, gram, kQuintic.c, polynomial, int64_t{n} * n);
    const Matrix p_operand = operand(polynomial, work.polynomial16, n, n);
    if (wide) {
      kernels::MatMul(p_operand, false, x_operand, false, next_matrix, false);
    } else {
      kernels::MatMul(x_operand, false, p_operand, false, next_matrix, false);
    }
    kernels::Axpby(1, next, kQuintic.a, x, size);
  }
}

// The iteration in the operands' type throughout, a I being part of the polynomial P so that no sum over X remains:
//
//   A = X X^T;  P = a I + b A + c A^2;  X <- P X            every `stretch` steps; in between, on the short side,
//                                       Q <- P Q, A <- P A P
//
// For a tall matrix the same from the right. AOL's scaling of X is folded into the first Q, that of A is explicit.
class Iteration {
 public:
  Iteration(float* x, int rows, int cols, const Orthogonalization& how)
      : how_(how), wide_(rows <= cols), result_{x, DType::kF32, rows, cols, cols} {
    Workspace& work = ThreadWorkspace();
    const int64_t n = wide_ ? rows : cols, size = int64_t{rows} * cols;
    const DType type = how.operands;
    if (how.form == MuonForm::kQuintic) Normalize(x, size);
    x_ = RoomFor(type, work.next, work.x16, rows, cols);
    kernels::Copy(result_, x_, false);
    next_ = type == DType::kF32 ? result_ : RoomFor(type, work.next, work.next16, rows, cols);
    gram_ = RoomFor(type, work.gram, work.gram16, n, n);
    polynomial_ = RoomFor(type, work.polynomial, work.polynomial16, n, n);
    product_ = RoomFor(type, work.product, work.product16, n, n);
    spare_ = RoomFor(type, work.spare, work.spare16, n, n);
    scales_ = Room(work.scales, n);
    const bool stays = how.gram && size / n >= 2 * n;
    stretch_ = !stays ? 1 : type == DType::kBF16 ? 2 : how.steps;
  }

  void Run() {
    for (int step = 0; step < how_.steps; ++step) {
      const bool first = step % stretch_ == 0, last = step + 1 == how_.steps;
      if (first) MakeGram(step == 0);
      MakePolynomial(CoefficientsOf(how_, step));
      const bool applies = last || (step + 1) % stretch_ == 0;
      if (!applies) {
        MatMulSymmetric(polynomial_, false, gram_, false, spare_);  // P is a polynomial of A: they commute
        MatMulSymmetric(spare_, false, polynomial_, false, gram_);
      }
      Accumulate(first, step == 0);
      if (applies) Apply(last);
    }
  }

 private:
  void MakeGram(bool of_input) {
    MatMulSymmetric(x_, !wide_, x_, wide_, gram_);
    if (!of_input || how_.form != MuonForm::kAol) return;
    kernels::AolScales(gram_, scales_);
    kernels::Scale(gram_, scales_, scales_, gram_);
  }

  void MakePolynomial(const Coefficients& k) {
    MatMulSymmetric(gram_, false, gram_, false, polynomial_);
    kernels::QuinticPolynomial(k.a, k.b, k.c, gram_, polynomial_);
  }

  // product_ <- P, or P product_; the step's own polynomial is not needed any more.
  void Accumulate(bool first, bool of_input) {
    if (first) {
      if (of_input && how_.form == MuonForm::kAol) {
        kernels::Scale(polynomial_, wide_ ? nullptr : scales_, wide_ ? scales_ : nullptr, polynomial_);
      }
      return std::swap(product_, polynomial_);
    }
    Multiply(polynomial_, product_, spare_);
    std::swap(product_, spare_);
  }

  // X <- product_ X; the last time in f32, where the caller wants it.
  void Apply(bool last) {
    const Matrix& to = last ? result_ : next_;
    if (to.data == x_.data) {  // f32, whose two rooms take turns
      kernels::Copy(x_, next_, false);
      std::swap(x_, next_);
    }
    Multiply(product_, x_, to);
    if (!last) std::swap(x_, next_);
  }

  // to <- p from, on the short side of the matrix.
  void Multiply(const Matrix& p, const Matrix& from, const Matrix& to) const {
    if (wide_) {
      kernels::MatMul(p, false, from, false, to, false);
    } else {
      kernels::MatMul(from, false, p, false, to, false);
    }
  }

  const Orthogonalization& how_;
  bool wide_;
  Matrix result_, x_, next_;                    // [rows, cols]
  Matrix gram_, polynomial_, product_, spare_;  // [n, n], n the short side
  float* scales_;                               // [n]
  int stretch_;                                 // steps between two products with X
};

}  // namespace

void Orthogonalize(float* x, int rows, int cols, const Orthogonalization& how) {
  FLASHLM_CHECK(how.form != MuonForm::kAol || how.steps <= kMostAolSteps, "{} steps with AOL", how.steps);
  if (how.form == MuonForm::kQuintic && !how.gram) return Quintic(x, rows, cols, how.steps, how.operands);
  Iteration(x, rows, cols, how).Run();
}

}  // namespace flashlm
