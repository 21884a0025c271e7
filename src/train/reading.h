// What a run reads, sequence by sequence: the training stream; in a phase that says so (train/phases.h) a part of its
// stories, or the model's own. The run counts sequences on through all of it, and where each comes from is a function
// of that count and of the few numbers kept here, so that resuming is exact.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "data/batches.h"
#include "data/shards.h"
#include "train/own_stories.h"

namespace flashlm {

// Where the sequences of a phase come from.
struct ReadingPart {
  double low = 0, high = 100;  // percentiles of difficulty of the stories (data/difficulty.h); 0 and 100: everything
  double own = 0;              // part of the sequences that are of the model's own stories

  bool operator==(const ReadingPart&) const = default;
};

class Reading {
 public:
  // `data`, which lies in `folder`, and `own` must outlive this. Begins with all of the data and nothing of one's own.
  Reading(const TokenData& data, const std::string& folder, const OwnStories& own, int length, uint64_t seed,
          Shuffle shuffle);

  // From the run's sequence `next` on. A part of the data that is another than before is read from its beginning, the
  // same one goes on. While there are no stories of one's own, data is read in their place.
  void Enter(const ReadingPart& part, int64_t next);
  // `part` with the counts that a checkpoint has of it.
  void Restore(const ReadingPart& part);
  // The run's sequences from `first` on, as BatchReader::Read; positions: null where stories of one's own are read.
  void Read(int64_t first, int64_t count, int32_t* inputs, int32_t* targets, int64_t* positions) const;

  // Of all the data, in sequences.
  int64_t SequencesPerEpoch() const { return per_epoch_; }
  // How often the data was read before sequence `next`: of a part, as many sequences count as much as of the whole.
  double EpochOf(int64_t next) const;

  // Of a run with phases.
  void VisitFields(FieldVisitor& v);

 private:
  void Choose(const ReadingPart& part);
  // Of the first `count` sequences of the part, those of one's own.
  int64_t OwnAmong(int64_t count) const;
  int64_t DataSince(int64_t next) const { return next - begin_ - OwnAmong(next - begin_); }

  const TokenData& data_;
  std::string folder_;
  const OwnStories& own_;
  int length_;
  uint64_t seed_;
  Shuffle shuffle_;
  int64_t per_epoch_;
  ReadingPart part_;
  bool has_own_ = false;  // whether there were stories of one's own when the part began
  std::optional<BatchReader> reader_;
  // The run's sequence at which the part began, the reader's there, and the data's sequences read before.
  int64_t begin_ = 0, first_ = 0, before_ = 0;
};

}  // namespace flashlm
