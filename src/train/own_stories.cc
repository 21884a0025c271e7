#include "train/own_stories.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "text/tokenizer.h"

namespace flashlm {

void OwnStories::Add(std::span<const int32_t> ids) {
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  tokens_.push_back(Tokenizer::kEos);
  ends_.push_back(tokens());
}

void OwnStories::Clear() {
  tokens_.clear();
  ends_.clear();
}

void OwnStories::Sequence(uint64_t seed, int64_t n, int length, int32_t* inputs, int32_t* targets) const {
  FLASHLM_CHECK(!empty(), "a sequence of no stories");
  // The lower half of these numbers are the epochs of the data.
  Rng rng(seed, Purpose::kDocumentOrder, (uint64_t{1} << 63) + static_cast<uint64_t>(n));
  for (int at = 0; at < length;) {
    const auto story = static_cast<size_t>(rng.Below(ends_.size()));
    const int64_t begin = story == 0 ? 0 : ends_[story - 1];
    const auto copied = static_cast<int>(std::min<int64_t>(ends_[story] - begin, length - at));
    std::copy_n(tokens_.begin() + begin, copied, targets + at);
    inputs[at] = Tokenizer::kEos;
    std::copy_n(targets + at, copied - 1, inputs + at + 1);
    at += copied;
  }
}

}  // namespace flashlm
