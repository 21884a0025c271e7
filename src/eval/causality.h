// Three properties without which a language model's numbers mean nothing, checked on a model as it is
// (docs/spec/data.md#causality): it cannot see the future, it can be read piece by piece, and texts in a
// batch do not touch.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "models/model.h"

namespace flashlm {

struct CausalityOptions {
  int length = 48;    // tokens of the test sequences
  uint64_t seed = 1;  // of these tokens, which are uniformly random
  // Most tokens that are changed, one at a time, each a pass over the sequence: spread over it at random, the last one
  // always among them. 0: every one.
  int changes = 0;
};

struct CausalityReport {
  int positions = 0;  // how many tokens were changed, one at a time
  // Largest change of a log-probability before the changed token. Must be exactly 0.
  double leak = 0;
  // Changed tokens after which nothing changed. Must be 0, or the model does not read its input.
  int without_effect = 0;
  // Largest difference |a - b| / max(1, |a|) of log-probabilities between reading the sequence at once and
  // reading it in pieces of other lengths, single tokens among them. Only rounding may remain.
  double split_difference = 0;
  double split_tolerance = 0;
  // Largest change of a row's log-probabilities when the other rows of its batch are replaced. Must be
  // exactly 0.
  double neighbour_change = 0;

  bool passed() const {
    return leak == 0 && without_effect == 0 && split_difference <= split_tolerance && neighbour_change == 0;
  }
};
Json ToJson(const CausalityReport& report);

CausalityReport CheckCausality(Model& model, DType dtype, const CausalityOptions& options = {});

}  // namespace flashlm
