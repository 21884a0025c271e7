// What the counted model says of its own training stream when each document is left out of the counts: else a gate
// would learn to trust what has seen the answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "ngram/features.h"

namespace flashlm {

class LeftOut {
 public:
  LeftOut(int64_t size, int order)
      : contexts_(order - 1),
        log_probs_(static_cast<size_t>(size)),
        features_(static_cast<size_t>(size) * static_cast<size_t>(order - 1)) {}

  // Positions of the stream, from its beginning, that were counted.
  int64_t size() const { return static_cast<int64_t>(log_probs_.size()); }
  int64_t MemoryBytes() const {
    return static_cast<int64_t>(log_probs_.size() * sizeof(uint16_t) + features_.size() * sizeof(ContextFeatures));
  }

  // log p of the token at a position, to 1 / 4096 (half a step).
  float LogProbability(int64_t position) const {
    return -static_cast<float>(log_probs_[static_cast<size_t>(position)]) / kSteps;
  }
  // [order - 1]
  const ContextFeatures* Features(int64_t position) const { return features_.data() + position * contexts_; }

  void Set(int64_t position, float probability) {
    const float steps = std::round(-std::log(probability) * kSteps);
    log_probs_[static_cast<size_t>(position)] = static_cast<uint16_t>(std::clamp(steps, 0.0f, 65535.0f));
  }
  ContextFeatures* MutableFeatures(int64_t position) { return features_.data() + position * contexts_; }

 private:
  static constexpr float kSteps = 2048;  // down to e^-32

  int contexts_;
  std::vector<uint16_t> log_probs_;
  std::vector<ContextFeatures> features_;
};

}  // namespace flashlm
