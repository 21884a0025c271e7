// The most probable of all tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flashlm {

struct LikelyToken {
  int32_t token = 0;
  float log_p = 0;
};

// The `most` tokens of the highest log-probability, best first, equal ones by id. log_probs: [V].
void FindLikelyTokens(std::span<const float> log_probs, int most, std::vector<LikelyToken>& likely);

}  // namespace flashlm
