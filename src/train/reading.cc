#include "train/reading.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "data/difficulty.h"

namespace flashlm {

Reading::Reading(const TokenData& data, const std::string& folder, const OwnStories& own, int length, uint64_t seed,
                 Shuffle shuffle)
    : data_(data),
      folder_(folder),
      own_(own),
      length_(length),
      seed_(seed),
      shuffle_(shuffle),
      reader_(std::in_place, data, length, seed, shuffle) {
  per_epoch_ = reader_->SequencesPerEpoch();
}

void Reading::Choose(const ReadingPart& part) {
  const bool same = part.low == part_.low && part.high == part_.high;
  part_ = part;
  if (same) return;
  std::vector<uint32_t> documents;  // none: all
  if (part.low > 0 || part.high < 100) documents = DocumentsWithin(ReadDifficulty(folder_, data_), part.low, part.high);
  reader_.emplace(data_, length_, seed_, shuffle_, std::move(documents));
}

void Reading::Enter(const ReadingPart& part, int64_t next) {
  const bool has_own = part.own > 0 && !own_.empty();
  if (part == part_ && has_own == has_own_) return;
  const int64_t read = DataSince(next);
  const bool same = part.low == part_.low && part.high == part_.high;
  before_ += read;
  first_ = same ? first_ + read : 0;
  begin_ = next;
  has_own_ = has_own;
  Choose(part);
}

void Reading::Restore(const ReadingPart& part) { Choose(part); }

int64_t Reading::OwnAmong(int64_t count) const {
  return has_own_ ? static_cast<int64_t>(std::floor(part_.own * static_cast<double>(count))) : 0;
}

void Reading::Read(int64_t first, int64_t count, int32_t* inputs, int32_t* targets, int64_t* positions) const {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = first + i - begin_, at = i * length_;
    if (OwnAmong(n + 1) > OwnAmong(n)) {
      FLASHLM_CHECK(positions == nullptr, "stories of one's own have no place in the data");
      own_.Sequence(seed_, first + i, length_, inputs + at, targets + at);
    } else {
      reader_->Sequence(first_ + n - OwnAmong(n), inputs + at, targets + at,
                        positions == nullptr ? nullptr : positions + at);
    }
  }
}

double Reading::EpochOf(int64_t next) const {
  return static_cast<double>(before_ + DataSince(next)) / static_cast<double>(per_epoch_);
}

void Reading::VisitFields(FieldVisitor& v) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  v.Int64("part_begin", begin_, 0, kMost, "the run's sequence at which the present part of the data began");
  v.Int64("part_first", first_, 0, kMost, "the part's sequence there");
  v.Int64("part_before", before_, 0, kMost, "the data's sequences read before");
  v.Bool("part_has_own", has_own_, "whether stories of one's own are read");
}

}  // namespace flashlm
