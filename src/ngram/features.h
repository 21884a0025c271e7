// What a gate may know of the counted model at a position, before the next token: for each context length how often
// the context was followed by something, and how much of its mass goes to shorter ones. Two bytes each, so that those
// of a whole training stream are small.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ngram/smoothing.h"

namespace flashlm {

struct ContextFeatures {
  uint8_t level = 0;    // 0: never followed by anything; else 1 + 8 log2 of how often
  uint8_t gamma = 255;  // 255 gamma

  static ContextFeatures Of(float total, float gamma) {
    if (total <= 0) return {};
    const long level = 1 + std::lround(8 * std::log2(total));
    return {static_cast<uint8_t>(std::min(level, 255L)), static_cast<uint8_t>(std::lround(255 * gamma))};
  }
};

// As a row of numbers in [0,1]: three for each context length, and a 1.
inline int FeatureColumns(int order) { return 3 * (order - 1) + 1; }
inline void ExpandFeatures(const ContextFeatures* features, int order, float* out) {
  for (int k = 0; k < order - 1; ++k) {
    const ContextFeatures& f = features[k];
    *out++ = f.level > 0 ? 1.0f : 0.0f;
    *out++ = f.level > 0 ? static_cast<float>(f.level - 1) / 128.0f : 0.0f;
    *out++ = static_cast<float>(f.gamma) / 255.0f;
  }
  *out = 1.0f;
}

}  // namespace flashlm
