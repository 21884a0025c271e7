// --input probes, and data prepare --mix probes=SHARE: texts for training that end with the answer to a question.
#include "probes/probes.h"

#include <limits>

#include "base/parallel.h"
#include "data/hash.h"
#include "data/sources.h"

namespace flashlm {
namespace {

class ProbeSource final : public DocumentSource {
 public:
  static constexpr const char* kAbout = "texts that end with the answer to a question, of flashlm probe's train split";
  struct Options {
    int64_t seed = 0, bytes = 100'000'000;
    void VisitFields(FieldVisitor& v) {
      constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
      v.Int64("seed", seed, 0, kMost, "another one gives other texts");
      v.Int64("bytes", bytes, 1, kMost, "of text");
    }
  };

  ProbeSource(const std::string&, const Options& options) : options_(options) {}

  bool Next(DocumentBatch& batch) override {
    batch = {};
    if (written_ >= options_.bytes) return false;
    const auto texts = std::make_shared<std::vector<std::string>>(kBatch);
    ParallelBlocks(kBatch, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) (*texts)[i] = Write(next_ + static_cast<uint64_t>(i));
    });
    for (const std::string& text : *texts) {
      if (written_ >= options_.bytes) break;
      batch.documents.push_back(text);
      written_ += static_cast<int64_t>(text.size());
      ++next_;
    }
    batch.owners.push_back(texts);
    return true;
  }
  void Rewind() override {
    next_ = 0;
    written_ = 0;
  }
  int64_t bytes_read() const override { return written_; }
  int64_t total_bytes() const override { return options_.bytes; }

  Json Identity() const override {
    uint64_t templates = 0;  // seen in what they make
    for (uint64_t i = 0; i < 600; ++i) templates = Hash64(Write(i), templates);
    return {"probes", options_.seed, options_.bytes, templates};
  }
  Json Describe() const override { return {{"seed", options_.seed}}; }

 private:
  static constexpr int64_t kBatch = 2048;

  std::string Write(uint64_t index) const { return ProbeDocument(static_cast<uint64_t>(options_.seed), index); }

  Options options_;
  uint64_t next_ = 0;
  int64_t written_ = 0;
};

FLASHLM_REGISTER_SOURCE("probes", ProbeSource);

}  // namespace
}  // namespace flashlm
