// --input synthetic: the stories of our own grammar, which need no download.
#include <limits>

#include "base/parallel.h"
#include "data/hash.h"
#include "data/sources.h"
#include "stories/story_text.h"
#include "stories/story_writer.h"

namespace flashlm {
namespace {

// Validation stories have indices from here on, out of the reach of training stories.
constexpr uint64_t kFirstValidStory = uint64_t{1} << 40;

// Stories first, first + 1, ... until `bytes` are reached. Nothing is kept: a rewound source writes them anew.
class SyntheticSource final : public DocumentSource {
 public:
  static constexpr const char* kAbout = "stories from a grammar, written on the spot";
  struct Options {
    int64_t seed = 0, bytes = 12'000'000, valid_bytes = 300'000;
    void VisitFields(FieldVisitor& v) {
      constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
      v.Int64("seed", seed, 0, kMost, "another one gives other stories");
      v.Int64("bytes", bytes, 1, kMost, "of training text");
      v.Int64("valid_bytes", valid_bytes, 1, kMost, "of validation text");
    }
  };

  SyntheticSource(const std::string&, const Options& options) : SyntheticSource(options, 0, options.bytes) {}

  bool Next(DocumentBatch& batch) override {
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
  void Rewind() override {
    next_ = first_;
    written_ = 0;
  }
  int64_t bytes_read() const override { return written_; }
  int64_t total_bytes() const override { return bytes_; }

  Json Identity() const override {
    return {"synthetic", options_.seed, first_, bytes_,
            Hash64(kStoryWords, Hash64(kStorySentences, Hash64(kStoryPlots)))};
  }
  std::unique_ptr<DocumentSource> Validation() const override {
    return std::unique_ptr<DocumentSource>(new SyntheticSource(options_, kFirstValidStory, options_.valid_bytes));
  }
  Json Describe() const override {
    return {{"seed", options_.seed},
            {"entropy_bound_bits_per_byte", EntropyBound(static_cast<uint64_t>(options_.seed))}};
  }

 private:
  SyntheticSource(const Options& options, uint64_t first, int64_t bytes)
      : options_(options), writer_(static_cast<uint64_t>(options.seed)), first_(first), bytes_(bytes), next_(first) {}

  Options options_;
  StoryWriter writer_;
  uint64_t first_;
  int64_t bytes_;
  uint64_t next_;
  int64_t written_ = 0;
};

FLASHLM_REGISTER_SOURCE("synthetic", SyntheticSource);

}  // namespace
}  // namespace flashlm
