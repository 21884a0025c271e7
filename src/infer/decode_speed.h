// How fast a model decodes: single-token steps on its state, greedy, without text or sampling options.
#pragma once

#include "models/model.h"

namespace flashlm {

struct DecodeSpeed {
  double tokens_per_s = 0;  // of all streams together
  double ms_per_token = 0;  // median step, which gives every stream one token
  double ms_per_token_first_quarter = 0, ms_per_token_last_quarter = 0;  // equal if the cost does not grow
  // One stream: from a prompt of 30 tokens to what follows it, on a model that has not run yet; and reading 512 tokens.
  double first_token_ms = 0, prefill_tokens_per_s = 0;
  // Weights that a step reads, in the form that products have them, and the part of the rate at which this machine
  // reads that many bytes (kernels/gemm/reading.h). A step also reads its state and activations, which are not counted.
  double weight_bytes_per_step = 0, share_of_bandwidth = 0;
};

// Of one step: 2 bits a weight where ternary maps read int8, one byte of other maps with int8, else those of dtype.
// Experts that a token does not meet are not counted.
double WeightBytesPerStep(const Model& model, DType dtype);

DecodeSpeed MeasureDecoding(Model& model, DType dtype, int streams, int tokens);

}  // namespace flashlm
