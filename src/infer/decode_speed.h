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
};

DecodeSpeed MeasureDecoding(Model& model, DType dtype, int streams, int tokens);

}  // namespace flashlm
