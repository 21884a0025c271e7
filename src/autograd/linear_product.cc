#include "autograd/linear_product.h"

#include <algorithm>
#include <functional>

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

// dL/d(master weight) += the straight-through form of what add_product(dL/dW) adds.
template <class AddProduct>
void AddWeightGradient(Tape& tape, const Param& weight, const AddProduct& add_product) {
  const auto matrix = [&](float* to) { return Matrix{to, DType::kF32, weight.rows, weight.cols, weight.cols}; };
  float* gradient = tape.ParamGradient(weight);
  if (weight.quantization.ternary != kernels::Ternary::kScaleGradient) return add_product(matrix(gradient));
  const int64_t size = int64_t{weight.rows} * weight.cols;
  float* effective = tape.Scratch(size);  // dL/d(effective weight)
  std::fill(effective, effective + size, 0.0f);
  add_product(matrix(effective));
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

// MultiplyLinearGrad in int8: dy is rounded once for both products.
void MultiplyLinearGradInInt8(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& dy,
                              const Matrix& dx, bool accumulate) {
  const LinearInput rounded = RoundedForNow(tape, dy);
  Matrix read = input.x;
  const float* factors = rounded.scales;  // of the rows of `read`
  if (input.scales != nullptr) {
    read = ScratchLike(tape, input.x, dy.dtype);
    kernels::WidenIntegers(input.x, read);
    float* both = tape.Scratch(dy.rows);
    std::transform(rounded.scales, rounded.scales + dy.rows, input.scales, both, std::multiplies<>());
    factors = both;
  }
  AddWeightGradient(tape, weight, [&](const Matrix& dw) { kernels::Int8WeightGradient(rounded.x, factors, read, dw); });
  PackedLinear& packed = tape.Packed(weight);
  if (!IsTernary(weight)) return packed.training.InputGradient(rounded.x, rounded.scales, dx, accumulate);
  // W is its trits, its scales are dy's.
  const Matrix scaled = ScratchLike(tape, dy, dy.dtype);
  kernels::Scale(dy, nullptr, packed.scales.data(), scaled);
  const LinearInput of_trits = RoundedForNow(tape, scaled);
  packed.training.InputGradient(of_trits.x, of_trits.scales, dx, accumulate);
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
  if (tape.int8_training()) return MultiplyLinearGradInInt8(tape, weight, input, dy, dx, accumulate);
  Matrix gradient = dy, read = input.x;
  if (input.scales != nullptr) {
    // dy^T (scale * integers) = (scale * dy)^T integers, and the integers are exact.
    gradient = ScratchLike(tape, dy, dy.dtype);
    read = ScratchLike(tape, input.x, dy.dtype);
    kernels::Scale(dy, input.scales, nullptr, gradient);
    kernels::WidenIntegers(input.x, read);
  }
  AddWeightGradient(tape, weight, [&](const Matrix& dw) { kernels::WeightGradient(gradient, read, dw); });
  tape.Packed(weight).weight.InputGradient(dy, dx, accumulate);
}

}  // namespace flashlm
