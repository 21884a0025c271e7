#include "autograd/linear_product.h"

#include <algorithm>

#include "kernels/gemm/int8_training.h"
#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

using kernels::Matrix;

bool IsTernary(const Param& weight) { return weight.quantization.ternary != kernels::Ternary::kNone; }

Matrix ScratchLike(Tape& tape, const Matrix& m, DType dtype) {
  return {tape.Scratch(m.rows * m.cols), dtype, m.rows, m.cols, m.cols};
}

// dL/d(master weight) += the straight-through form of dy^T input.
void AddWeightGradient(Tape& tape, const Param& weight, const Matrix& dy, const Matrix& input) {
  const auto add_product = [&](float* to) {
    const Matrix product{to, DType::kF32, weight.rows, weight.cols, weight.cols};
    if (tape.int8_training()) {
      kernels::Int8WeightGradient(dy, input, product);
    } else {
      kernels::WeightGradient(dy, input, product);
    }
  };
  float* gradient = tape.ParamGradient(weight);
  if (weight.quantization.ternary != kernels::Ternary::kScaleGradient) return add_product(gradient);
  const int64_t size = int64_t{weight.rows} * weight.cols;
  float* effective = tape.Scratch(size);  // dL/d(effective weight)
  std::fill(effective, effective + size, 0.0f);
  add_product(effective);
  tape.bank().AddTernaryGradient(weight, effective, gradient);
}

// x rounded to int8 per row. integers: [N*C]; scales: [N].
LinearInput Rounded(const Matrix& x, void* integers, float* scales) {
  const Matrix rounded{integers, DType::kI8, x.rows, x.cols, x.cols};
  kernels::QuantizeRows(x, rounded, scales);
  return {rounded, scales};
}

// The same in memory that lives until the operation ends.
LinearInput RoundedForNow(Tape& tape, const Matrix& x) {
  return Rounded(x, tape.Scratch((x.rows * x.cols + 3) / 4), tape.Scratch(x.rows));
}

// dx = or += dy W of int8. A ternary W is its trits, its scales are dy's.
void AddInputGradient(Tape& tape, const Param& weight, const Matrix& dy, const Matrix& dx, bool accumulate) {
  PackedLinear& packed = tape.Packed(weight);
  Matrix read = dy;
  if (IsTernary(weight)) {
    read = ScratchLike(tape, dy, dy.dtype);
    kernels::Scale(dy, nullptr, packed.scales.data(), read);
  }
  const LinearInput rounded = RoundedForNow(tape, read);
  packed.training.InputGradient(rounded.x, rounded.scales, dx, accumulate);
}

}  // namespace

bool TrainsInInt8(const Tape& tape, const Param& weight) { return tape.int8_training() && !IsTernary(weight); }

LinearInput ReadForLinear(Tape& tape, const Quantization& quantization, const Matrix& x) {
  if (!quantization.int8_input && !tape.int8_products()) return {x, nullptr};
  return Rounded(x, tape.Keep<int8_t>(x.rows * x.cols), tape.Keep<float>(x.rows));
}

void MultiplyLinear(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& y,
                    int64_t rows_at_a_time) {
  for (int64_t begin = 0; begin < y.rows; begin += rows_at_a_time) {
    const int64_t count = std::min(rows_at_a_time, y.rows - begin);
    MultiplyLinear(tape, weight, input.Rows(begin, count), y.Rows(begin, count), tape.row_groups());
  }
}

void MultiplyLinear(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& y,
                    kernels::RowGroups groups) {
  PackedLinear& packed = tape.Packed(weight);
  LinearInput read = input;
  if (read.scales == nullptr && tape.int8_training()) read = RoundedForNow(tape, input.x);
  if (TrainsInInt8(tape, weight)) return packed.training.Forward(read.x, read.scales, y, false);
  if (read.scales == nullptr) return packed.weight.Forward(read.x, y, false, groups);
  // Sums of integers, which no grouping changes.
  const Matrix sums = ScratchLike(tape, y, DType::kF32);
  if (IsTernary(weight)) {
    packed.trits.Forward(read.x, sums);
    kernels::Scale(sums, read.scales, packed.scales.data(), y);
  } else {
    packed.int8.Forward(read.x, sums);
    kernels::Scale(sums, read.scales, packed.int8.scales(), y);
  }
}

void MultiplyLinearGrad(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& dy, const Matrix& dx,
                        bool accumulate) {
  if (input.scales == nullptr) {
    AddWeightGradient(tape, weight, dy, input.x);
  } else {
    // dy^T (scale * integers) = (scale * dy)^T integers, and the integers are exact.
    const Matrix scaled = ScratchLike(tape, dy, dy.dtype), integers = ScratchLike(tape, input.x, dy.dtype);
    kernels::Scale(dy, input.scales, nullptr, scaled);
    kernels::WidenIntegers(input.x, integers);
    AddWeightGradient(tape, weight, scaled, integers);
  }
  if (tape.int8_training()) return AddInputGradient(tape, weight, dy, dx, accumulate);
  tape.Packed(weight).weight.InputGradient(dy, dx, accumulate);
}

}  // namespace flashlm
