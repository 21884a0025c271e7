#include "autograd/product.h"

#include <algorithm>

#include "kernels/ternary/ternary.h"

namespace flashlm {
namespace {

using kernels::Matrix;

// dL/d(master weight) += the straight-through form of dy^T input.
void AddWeightGradient(Tape& tape, const Param& weight, const Matrix& dy, const Matrix& input) {
  float* gradient = tape.bank().Gradient(weight);
  if (weight.quantization.ternary != kernels::Ternary::kScaleGradient) {
    return kernels::WeightGradient(dy, input, {gradient, DType::kF32, weight.rows, weight.cols, weight.cols});
  }
  const int64_t size = int64_t{weight.rows} * weight.cols;
  float* effective = tape.Scratch(size);  // dL/d(effective weight)
  std::fill(effective, effective + size, 0.0f);
  kernels::WeightGradient(dy, input, {effective, DType::kF32, weight.rows, weight.cols, weight.cols});
  tape.bank().AddTernaryGradient(weight, effective);
}

}  // namespace

Matrix RowsOf(const Matrix& m, int64_t begin, int64_t count) {
  Matrix rows = m;
  rows.data = static_cast<char*>(m.data) + begin * m.stride * static_cast<int64_t>(SizeOf(m.dtype));
  rows.rows = count;
  return rows;
}

ProductInput ReadForProduct(Tape& tape, const Matrix& x, const Param& weight) {
  if (!weight.quantization.int8_input && !tape.int8_products()) return {x};
  float* scales = tape.Keep<float>(x.rows);
  const Matrix integers{tape.Keep<int8_t>(x.rows * x.cols), DType::kI8, x.rows, x.cols, x.cols};
  kernels::QuantizeRows(x, integers, scales);
  return {integers, scales};
}

void Multiply(Tape& tape, const ProductInput& input, const Param& weight, const Matrix& y, int64_t rows_at_a_time,
              float* sums) {
  PackedLinear& packed = tape.Packed(weight);
  if (input.scales == nullptr) {
    for (int64_t begin = 0; begin < y.rows; begin += rows_at_a_time) {
      const int64_t count = std::min(rows_at_a_time, y.rows - begin);
      packed.weight.Forward(RowsOf(input.input, begin, count), RowsOf(y, begin, count), false);
    }
    return;
  }
  const Matrix integer_sums{sums, DType::kF32, y.rows, y.cols, y.cols};
  if (weight.quantization.int8_input) {
    packed.trits.Forward(input.input, integer_sums);
    kernels::ScaleMatrix(integer_sums, input.scales, packed.scales.data(), y);
  } else {
    packed.int8.Forward(input.input, integer_sums);
    kernels::ScaleMatrix(integer_sums, input.scales, packed.int8.scales(), y);
  }
}

ProductInput Product(Tape& tape, const Matrix& x, const Param& weight, const Matrix& y) {
  const ProductInput input = ReadForProduct(tape, x, weight);
  float* sums = input.scales == nullptr ? nullptr : tape.Scratch(y.rows * y.cols);
  Multiply(tape, input, weight, y, std::max<int64_t>(1, y.rows), sums);
  return input;
}

void ProductGradient(Tape& tape, const ProductInput& input, const Param& weight, const Matrix& dy, const Matrix& dx,
                     bool accumulate, float* scratch) {
  if (input.scales == nullptr) {
    AddWeightGradient(tape, weight, dy, input.input);
  } else {
    // dy^T (scale * integers) = (scale * dy)^T integers, and the integers are exact.
    const Matrix& q = input.input;
    const Matrix scaled{scratch, dy.dtype, dy.rows, dy.cols, dy.cols};
    const Matrix integers{scratch + dy.rows * dy.cols, dy.dtype, q.rows, q.cols, q.cols};
    kernels::ScaleMatrix(dy, input.scales, nullptr, scaled);
    kernels::WidenIntegers(q, integers);
    AddWeightGradient(tape, weight, scaled, integers);
  }
  tape.Packed(weight).weight.InputGradient(dy, dx, accumulate);
}

}  // namespace flashlm
