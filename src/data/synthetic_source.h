// The synthetic corpus as a source of documents.
#pragma once

#include "data/documents.h"
#include "stories/story_writer.h"

namespace flashlm {

// Stories first_index, first_index + 1, ... until `bytes` are reached. Nothing is kept: a rewound source
// writes them anew.
class SyntheticSource final : public DocumentSource {
 public:
  SyntheticSource(uint64_t seed, uint64_t first_index, int64_t bytes)
      : writer_(seed), first_index_(first_index), bytes_(bytes), next_(first_index) {}

  bool Next(DocumentBatch& batch) override;
  void Rewind() override {
    next_ = first_index_;
    written_ = 0;
  }
  int64_t bytes_read() const override { return written_; }
  int64_t total_bytes() const override { return bytes_; }

 private:
  StoryWriter writer_;
  uint64_t first_index_;
  int64_t bytes_;
  uint64_t next_;
  int64_t written_ = 0;
};

// Validation stories have indices from here on, out of the reach of training stories.
inline constexpr uint64_t kFirstValidStory = uint64_t{1} << 40;

}  // namespace flashlm
