#include "autograd/linear_product.h"

#include <algorithm>

#include "kernels/gemm/int8_training.h"
#include "kernels/ternary/ternary.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

using kernels::Matrix;

// dL/d(master weight) += the straight-through form of dy^T input.
void AddWeightGradient(Tape& tape, const Param& weight, const Matrix& dy, const Matrix& input) {
  float* gradient = tape.ParamGradient(weight);
  if (weight.quantization.ternary != kernels::Ternary::kScaleGradient) {
    return kernels::WeightGradient(dy, input, {gradient, DType::kF32, weight.rows, weight.cols, weight.cols});
  }
  const int64_t size = int64_t{weight.rows} * weight.cols;
  float* effective = tape.Scratch(size);  // dL/d(effective weight)
  std::fill(effective, effective + size, 0.0f);
  kernels::WeightGradient(dy, input, {effective, DType::kF32, weight.rows, weight.cols, weight.cols});
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

}  // namespace

bool TrainsInInt8(const Tape& tape, const Param& weight) {
  return tape.int8_training() && weight.quantization.ternary == kernels::Ternary::kNone &&
         !weight.quantization.int8_input;
}

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
  if (TrainsInInt8(tape, weight)) {
    const LinearInput rounded = RoundedForNow(tape, input.x);
    return packed.training.Forward(rounded.x, rounded.scales, y, false);
  }
  if (input.scales == nullptr) return packed.weight.Forward(input.x, y, false, groups);
  // Sums of integers, which no grouping changes.
  const bool ternary = weight.quantization.ternary != kernels::Ternary::kNone;
  const Matrix sums{tape.Scratch(y.rows * y.cols), DType::kF32, y.rows, y.cols, y.cols};
  if (ternary) {
    packed.trits.Forward(input.x, sums);
  } else {
    packed.int8.Forward(input.x, sums);
  }
  kernels::Scale(sums, input.scales, ternary ? packed.scales.data() : packed.int8.scales(), y);
}

void MultiplyLinearGrad(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& dy, const Matrix& dx,
                        bool accumulate) {
  if (TrainsInInt8(tape, weight)) {
    kernels::Int8WeightGradient(dy, input.x,
                                {tape.ParamGradient(weight), DType::kF32, weight.rows, weight.cols, weight.cols});
    const LinearInput rounded = RoundedForNow(tape, dy);
    return tape.Packed(weight).training.InputGradient(rounded.x, rounded.scales, dx, accumulate);
  }
  if (input.scales == nullptr) {
    AddWeightGradient(tape, weight, dy, input.x);
  } else {
    // dy^T (scale * integers) = (scale * dy)^T integers, and the integers are exact.
    const Matrix& q = input.x;
    const Matrix scaled{tape.Scratch(dy.rows * dy.cols), dy.dtype, dy.rows, dy.cols, dy.cols};
    const Matrix integers{tape.Scratch(q.rows * q.cols), dy.dtype, q.rows, q.cols, q.cols};
    kernels::Scale(dy, input.scales, nullptr, scaled);
    kernels::WidenIntegers(q, integers);
    AddWeightGradient(tape, weight, scaled, integers);
  }
  tape.Packed(weight).weight.InputGradient(dy, dx, accumulate);
}

}  // namespace flashlm
