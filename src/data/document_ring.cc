#include "data/document_ring.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "text/tokenizer.h"

namespace flashlm {

std::vector<int64_t> DocumentBorders(const TokenData& data) {
  std::vector<int64_t> borders = {0};
  for (const int64_t end : data.PositionsOf(Tokenizer::kEos)) borders.push_back(end + 1);
  if (borders.back() != data.size()) borders.push_back(data.size());
  return borders;
}

DocumentRing::DocumentRing(const TokenData& data, Shuffle shuffle, uint64_t seed, std::vector<uint32_t> documents)
    : seed_(seed), shuffle_(shuffle), documents_(std::move(documents)) {
  const bool whole = shuffle == Shuffle::kChunks && documents_.empty();
  begins_ = whole ? std::vector<int64_t>{0, data.size()} : DocumentBorders(data);
  const size_t count = begins_.size() - 1;
  FLASHLM_CHECK(count <= std::numeric_limits<uint32_t>::max(), "{} documents", count);
  if (documents_.empty()) {
    documents_.resize(count);
    std::iota(documents_.begin(), documents_.end(), uint32_t{0});
  }
  for (const uint32_t document : documents_) {
    FLASHLM_CHECK(document < count, "document {} of {}", document, count);
    size_ += begins_[document + 1] - begins_[document];
  }
  places_.resize(documents_.size());
}

void DocumentRing::Arrange(int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  order_ = documents_;
  Rng rng(seed_, Purpose::kDocumentOrder, static_cast<uint64_t>(epoch));
  if (shuffle_ == Shuffle::kDocuments) ShuffleItems(order_, rng);
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
