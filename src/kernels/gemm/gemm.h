// Matrix products. oneDNN does the work; with FLASHLM_ISA=scalar plain loops do.
//
// Operands are f32 or bf16 (both operands alike), sums are f32, results f32 or bf16. Weights live as f32 [out, in] and
// are re-laid ("packed") once per change into what the CPU's matrix units like best. Any number of threads may multiply
// by the same weight at once; its values are set while none does.
#pragma once

#include <memory>
#include <string>

#include "kernels/matrix.h"
#include "kernels/matrix_rows.h"

namespace flashlm::kernels {

// Up to this many rows products run on kernels of our own (few_rows.h): inside a Team, without preparing anything for
// the number of rows, and every row with the same bits whatever that number is. Beyond, oneDNN is called, but
// for products of int8 with 256-bit VNNI, which stay here.
constexpr int64_t kFewRows = 32;

// How a product takes its rows. The last bits of a row may depend on how many rows are multiplied at once, since a
// library chooses its loops by that; with one of the last two they depend on the row alone, wherever it stands and
// whatever stands beside it. The two differ from each other by rounding.
enum class RowGroups : uint8_t {
  kFastest,  // few rows as kFew, more as one product
  kFew,      // the kernels for few rows, for any number
  kBlocks,   // kBlockRows at a time, the last block filled up with zeros; without AVX-512 as kFew
};
// Of one size, which many rows lose little by (5-10 % of a product with AMX, nothing without), few rows not much.
constexpr int64_t kBlockRows = 64;

class PackedWeight {
 public:
  PackedWeight();
  ~PackedWeight();
  PackedWeight(PackedWeight&&) noexcept;
  PackedWeight& operator=(PackedWeight&&) noexcept;

  // Takes over the values of w (f32 [out,in], contiguous). Packed copies are made at the first product that wants
  // them, so w must stay unchanged until the next call.
  void SetValues(const float* w, int64_t out, int64_t in, DType dtype) {
    SetValues([w] { return w; }, out, in, dtype);
  }
  // The same of values that are made when the first copy is.
  void SetValues(MatrixValues w, int64_t out, int64_t in, DType dtype);

  // y[N,out] = x[N,in] W^T (+ y if accumulate).
  void Forward(const Matrix& x, const Matrix& y, bool accumulate, RowGroups groups = RowGroups::kFastest);
  // dx[N,in] = dy[N,out] W (+ dx if accumulate).
  void InputGradient(const Matrix& dy, const Matrix& dx, bool accumulate);
  // Makes the copies that products of the values before these have wanted on as many threads as this one has.
  void Renew();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A ternary matrix as products with int8 integers read it: as int8, or, for a few rows, 2 bits a weight. Sums are
// integers, so that every path, instruction set and number of rows gives the same bits.
class PackedTrits {
 public:
  PackedTrits();
  ~PackedTrits();
  PackedTrits(PackedTrits&&) noexcept;
  PackedTrits& operator=(PackedTrits&&) noexcept;

  // Takes over the signs of w (f32 [out,in], contiguous), which must stay unchanged until the next call.
  void SetValues(const float* w, int64_t out, int64_t in) { SetRows(TritsOf(w, in), out, in); }
  // The same of a matrix that is kept in another form.
  void SetRows(TritRows rows, int64_t out, int64_t in);

  // y[N,out] (f32) = q[N,in] (int8) W^T. in * 127 must stay below 2^24.
  void Forward(const Matrix& q, const Matrix& y);
  // Makes the copies that products of the values before these have wanted.
  void Renew();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A float matrix rounded to int8 with a scale per output row (max |w| / 127), for inference on CPUs with VNNI.
class PackedInt8 {
 public:
  PackedInt8();
  ~PackedInt8();
  PackedInt8(PackedInt8&&) noexcept;
  PackedInt8& operator=(PackedInt8&&) noexcept;

  // Takes over w (f32 [out,in], contiguous), which must stay unchanged until the next call.
  void SetValues(const float* w, int64_t out, int64_t in);
  // Takes over a matrix that is kept rounded.
  void SetRows(Int8Rows rows, int64_t out, int64_t in);
  const float* scales();  // [out], after the first product

  // y[N,out] (f32) = q[N,in] (int8) times the integers; any number of rows gives the same bits.
  void Forward(const Matrix& q, const Matrix& y);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// dw[out,in] (f32) += dy[N,out]^T x[N,in].
void WeightGradient(const Matrix& dy, const Matrix& x, const Matrix& dw);

// c = op(a) op(b) (+ c if accumulate), op = transposition if asked.
void MatMul(const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b, const Matrix& c, bool accumulate);

std::string GemmLibrary();  // for doctor: "oneDNN 2.6.3"
// True if the library takes the CPU for one with bf16 products of its own; ONEDNN_MAX_CPU_ISA may forbid it.
bool GemmUsesBf16();

}  // namespace flashlm::kernels
