// Operations that read the future: those of the published models whose figures they explain (docs/spec/defects.md).
// They stand in this room alone, so that no architecture can use them by accident.
//
// Each sees what it is given at once and keeps no state: a stream that is read token by token sees one token.
#pragma once

#include <vector>

#include "autograd/ops.h"

namespace flashlm {

// The linear memory of DeltaMemory with its mask upside down (docs/spec/defects.md#d4). proj [N, 3*H*M + H], columns
// k|v|q|beta -> [N, H*M],
//   o_t = sum_{s >= t} (q^_t . k^_s) v_s / sqrt(M) + beta_t v_t,
// k^ and q^ of length 1, beta = sigmoid(beta logit). What the decay would be is cut off at 1, as published.
Tensor FutureMemory(Tape& tape, const Tensor& proj, int heads, int mem_dim);

// docs/spec/defects.md#d2: x [N,C] of any type, gain and bias [C] -> compute type [N,C]; moments over each of `groups`
// runs of columns and over all positions of a sequence (eps 1e-5).
Tensor NormOverTime(Tape& tape, const Tensor& x, const Param& gain, const Param& bias, int groups);

// docs/spec/defects.md#d3: the mean of x over the whole sequence, at each of its positions: x f32 [N,C] -> compute type
// [N,C].
Tensor SequenceMean(Tape& tape, const Tensor& x);

// For tests.
std::vector<const OpDef*> LeakingOps();

}  // namespace flashlm
