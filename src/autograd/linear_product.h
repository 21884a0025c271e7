// The product of a linear map, shared by the operations that contain one: float, ternary with or without its input
// rounded to int8 (docs/spec/ternary.md), or all int8 in inference.
#pragma once

#include "autograd/tape.h"

namespace flashlm {

// What a product reads.
struct LinearInput {
  kernels::Matrix x;    // as it was, or rounded to int8
  const float* scales;  // [N] of the rounding; null without

  LinearInput Rows(int64_t begin, int64_t count) const {
    return {x.Rows(begin, count), scales == nullptr ? nullptr : scales + begin};
  }
};

// x as maps of this quantisation read it in the tape's precision, in the tape's memory.
LinearInput ReadForLinear(Tape& tape, const Quantization& quantization, const kernels::Matrix& x);

// True of a float matrix with which products are of int8 in this pass (docs/spec/integers.md): all three of a training
// step.
bool TrainsInInt8(const Tape& tape, const Param& weight);

// y[N,O] = input[N,I] W^T, at most `rows_at_a_time` rows in a product, grouped as tape.row_groups() says.
void MultiplyLinear(Tape& tape, const Param& weight, const LinearInput& input, const kernels::Matrix& y,
                    int64_t rows_at_a_time);
// The same, all rows at once, grouped as `groups` says.
void MultiplyLinear(Tape& tape, const Param& weight, const LinearInput& input, const kernels::Matrix& y,
                    kernels::RowGroups groups);

// Adds dL/dW to the bank; dx = or += dy W.
void MultiplyLinearGrad(Tape& tape, const Param& weight, const LinearInput& input, const kernels::Matrix& dy,
                        const kernels::Matrix& dx, bool accumulate);

}  // namespace flashlm
