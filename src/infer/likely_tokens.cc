#include "infer/likely_tokens.h"

#include <algorithm>

namespace flashlm {
namespace {

bool Likelier(const LikelyToken& a, const LikelyToken& b) {
  return a.log_p != b.log_p ? a.log_p > b.log_p : a.token < b.token;
}

}  // namespace

void FindLikelyTokens(std::span<const float> log_probs, int most, std::vector<LikelyToken>& likely) {
  likely.clear();
  if (most < 1) return;
  // A heap of the best so far, the least of them in front: most of the vocabulary costs one comparison each.
  for (size_t i = 0; i < log_probs.size(); ++i) {
    const LikelyToken one{static_cast<int32_t>(i), log_probs[i]};
    if (likely.size() < static_cast<size_t>(most)) {
      likely.push_back(one);
      std::push_heap(likely.begin(), likely.end(), Likelier);
    } else if (Likelier(one, likely.front())) {
      std::pop_heap(likely.begin(), likely.end(), Likelier);
      likely.back() = one;
      std::push_heap(likely.begin(), likely.end(), Likelier);
    }
  }
  std::sort_heap(likely.begin(), likely.end(), Likelier);
}

}  // namespace flashlm
