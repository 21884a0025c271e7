#include "autograd/linear_product.h"

#include <algorithm>

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

LinearInput ReadForLinear(Tape& tape, const Quantization& quantization, const Matrix& x) {
  if (!quantization.int8_input) return {x, nullptr};
  float* scales = tape.Keep<float>(x.rows);
  const Matrix integers{tape.Keep<char>(x.rows * x.cols * static_cast<int64_t>(SizeOf(x.dtype))), x.dtype, x.rows,
                        x.cols, x.cols};
  kernels::QuantizeRows(x, integers, scales);
  return {integers, scales};
}

void MultiplyLinear(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& y,
                    int64_t rows_at_a_time) {
  PackedLinear& packed = tape.Packed(weight);
  kernels::PackedWeight& matrix = input.scales == nullptr ? packed.weight : packed.trits;
  for (int64_t begin = 0; begin < y.rows; begin += rows_at_a_time) {
    const int64_t count = std::min(rows_at_a_time, y.rows - begin);
    matrix.Forward(RowsOf(input.x, begin, count), RowsOf(y, begin, count), false);
  }
  if (input.scales != nullptr) kernels::ScaleMatrix(y, input.scales, packed.scales.data(), y);
}

void MultiplyLinearGrad(Tape& tape, const Param& weight, const LinearInput& input, const Matrix& dy, const Matrix& dx,
                        bool accumulate, const Matrix& scaled) {
  if (input.scales == nullptr) {
    AddWeightGradient(tape, weight, dy, input.x);
  } else {
    // dy^T (scale * integers) = (scale * dy)^T integers, and the integers are exact.
    kernels::ScaleMatrix(dy, input.scales, nullptr, scaled);
    AddWeightGradient(tape, weight, scaled, input.x);
  }
  tape.Packed(weight).weight.InputGradient(dy, dx, accumulate);
}

}  // namespace flashlm
