// How an operation multiplies with a parameter: in the tape's precision, or as the parameter's quantisation asks.
#pragma once

#include "autograd/tape.h"

namespace flashlm {

// Rows [begin, begin + count) of a matrix.
kernels::Matrix RowsOf(const kernels::Matrix& m, int64_t begin, int64_t count);

struct ProductInput {
  kernels::Matrix input;          // what is multiplied: x, or its int8 integers
  const float* scales = nullptr;  // [N] of the rounding; null without

  ProductInput Rows(int64_t begin, int64_t count) const {
    return {RowsOf(input, begin, count), scales == nullptr ? nullptr : scales + begin};
  }
};

// y[N,O] = x[N,I] W^T. What it returns lives until the next Begin.
ProductInput Product(Tape& tape, const kernels::Matrix& x, const Param& weight, const kernels::Matrix& y);

// The two steps of it: x as it is multiplied with weights of this quantisation, and the product, of at most
// `rows_at_a_time` rows at a time. sums: N * O floats of scratch if the input was rounded, else unused.
ProductInput ReadForProduct(Tape& tape, const kernels::Matrix& x, const Param& weight);
void Multiply(Tape& tape, const ProductInput& input, const Param& weight, const kernels::Matrix& y,
              int64_t rows_at_a_time, float* sums);

// Adds dL/dW to the bank; dx[N,I] = or += dL/dx. scratch: N * (O + I) floats if the input was rounded, else unused.
void ProductGradient(Tape& tape, const ProductInput& input, const Param& weight, const kernels::Matrix& dy,
                     const kernels::Matrix& dx, bool accumulate, float* scratch);

}  // namespace flashlm
