// Search-guided decoding (docs/spec/search.md#search): a token is chosen not only for its probability but for what the
// model's value head expects after it.
#pragma once

#include <span>
#include <vector>

#include "infer/sampler.h"
#include "infer/session.h"

namespace flashlm {

// Each candidate costs one single-token step from the kept state; nothing is read twice. Of the K steps the
// best one's state is kept, so the chosen token needs no further step.
class Search {
 public:
  // session: of one row. Throws Error if the model has no value heads (known after the first Feed).
  Search(Session& session, Sampler& sampler, int candidates, double beta);

  struct Choice {
    int32_t token;
    std::span<const float> log_probs;  // [V], of what follows the token; valid until the next call
  };
  // Of the K best tokens of the filtered distribution, the one with the largest log p - beta * v, v being the
  // last value head's prediction of the nats to come after it. The session has read it on return.
  Choice Next(std::span<const float> log_probs, std::span<const int32_t> history);

 private:
  Session& session_;
  Sampler& sampler_;
  int candidates_;
  double beta_;
  State before_, best_state_;
  std::vector<float> best_log_probs_;
};

}  // namespace flashlm
