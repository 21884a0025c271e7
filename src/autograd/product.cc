#include "autograd/product.h"

#include "kernels/ternary/ternary.h"

namespace flashlm {

ProductInput Product(Tape& tape, const kernels::Matrix& x, const Param& weight, const kernels::Matrix& y) {
  PackedLinear& packed = tape.Packed(weight);
  const bool ternary = weight.quantization.int8_input;
  if (!ternary && !tape.int8_products()) {
    packed.weight.Forward(x, y, false);
    return {x};
  }
  float* scales = tape.Keep<float>(x.rows);
  const kernels::Matrix integers{tape.Keep<int8_t>(x.rows * x.cols), DType::kI8, x.rows, x.cols, x.cols};
  const kernels::Matrix sums{tape.Scratch(x.rows * y.cols), DType::kF32, x.rows, y.cols, y.cols};
  kernels::QuantizeRows(x, integers, scales);
  if (ternary) {
    packed.trits.Forward(integers, sums);
    kernels::ScaleMatrix(sums, scales, packed.scales.data(), y);
  } else {
    packed.int8.Forward(integers, sums);
    kernels::ScaleMatrix(sums, scales, packed.int8.scales(), y);
  }
  return {integers, scales};
}

}  // namespace flashlm
