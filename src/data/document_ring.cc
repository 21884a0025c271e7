#include "data/document_ring.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "text/tokenizer.h"

namespace flashlm {

DocumentRing::DocumentRing(const TokenData& data, Shuffle shuffle, uint64_t seed) : seed_(seed), begins_{0} {
  if (shuffle == Shuffle::kDocuments) {
    for (const int64_t end : data.PositionsOf(Tokenizer::kEos)) begins_.push_back(end + 1);
  }
  if (begins_.back() != data.size()) begins_.push_back(data.size());  // the last document may lack its <eos>
  const size_t documents = begins_.size() - 1;
  FLASHLM_CHECK(documents <= std::numeric_limits<uint32_t>::max(), "{} documents", documents);
  order_.resize(documents);
  places_.resize(documents);
}

void DocumentRing::Arrange(int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  Rng rng(seed_, Purpose::kDocumentOrder, static_cast<uint64_t>(epoch));
  for (size_t left = order_.size(); left > 1; --left) {  // Fisher and Yates
    std::swap(order_[left - 1], order_[rng.Below(left)]);
  }
  int64_t place = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    places_[i] = place;
    place += begins_[order_[i] + 1] - begins_[order_[i]];
  }
}

DocumentRing::Piece DocumentRing::At(int64_t position) const {
  const auto next = std::upper_bound(places_.begin(), places_.end(), position);
  const auto i = static_cast<size_t>(next - places_.begin() - 1);
  const int64_t begin = begins_[order_[i]], skipped = position - places_[i];
  return {begin + skipped, begins_[order_[i] + 1] - begin - skipped, skipped == 0};
}

}  // namespace flashlm
