#include "data/synthetic_source.h"

#include "base/parallel.h"

namespace flashlm {

bool SyntheticSource::Next(DocumentBatch& batch) {
  constexpr int64_t kStories = 2048;
  batch = {};
  if (written_ >= bytes_) return false;
  const auto stories = std::make_shared<std::vector<std::string>>(kStories);
  ParallelBlocks(kStories, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) (*stories)[i] = writer_.Write(next_ + static_cast<uint64_t>(i)).text;
  });
  for (const std::string& story : *stories) {
    if (written_ >= bytes_) break;
    batch.documents.push_back(story);
    written_ += static_cast<int64_t>(story.size());
    ++next_;
  }
  batch.owners.push_back(stories);
  return true;
}

}  // namespace flashlm
