// How an operation multiplies with a parameter: in the tape's precision, or as the parameter's quantisation asks.
#pragma once

#include "autograd/tape.h"

namespace flashlm {

struct ProductInput {
  kernels::Matrix input;          // what was multiplied: x, or its int8 integers
  const float* scales = nullptr;  // [N] of the rounding; null without
};

// y[N,O] = x[N,I] W^T. What it returns lives until the next Begin.
ProductInput Product(Tape& tape, const kernels::Matrix& x, const Param& weight, const kernels::Matrix& y);

}  // namespace flashlm
