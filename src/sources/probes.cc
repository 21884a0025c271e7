// --input probes, and data prepare --mix probes=SHARE: texts for training that end with the answer to a question.
#include "probes/probes.h"

#include <limits>

#include "base/error.h"
#include "base/parallel.h"
#include "data/hash.h"
#include "data/sources.h"

namespace flashlm {
namespace {

class ProbeSource final : public DocumentSource {
 public:
  static constexpr const char* kAll = "all";
  static constexpr const char* kAbout = "texts that end with the answer to a question, of flashlm probe's train split";
  struct Options {
    int64_t seed = 0, bytes = 100'000'000;
    std::string category = kAll;
    int most_hops = 0;
    void VisitFields(FieldVisitor& v) {
      constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
      v.Int64("seed", seed, 0, kMost, "another one gives other texts");
      v.Int64("bytes", bytes, 1, kMost, "of text");
      std::vector<std::string> choices = {kAll};
      for (const std::string_view one : ProbeCategories()) choices.emplace_back(one);
      v.Text("category", category, choices, "of questions; all: each in turn");
      v.Int("most_hops", most_hops, 0, kMostHops,
            "k_hop: many questions a text, of up to so many hops; 0: as it is asked");
    }
  };

  ProbeSource(const std::string&, const Options& options) : options_(options) {
    if (options.most_hops > 0 && options.category != "k_hop") {
      throw UsageError(
          fmt::format("source.most_hops {}: texts of {} have no hops", options.most_hops, options.category),
          "add --set category=k_hop");
    }
  }

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
  Json Describe() const override {
    return {{"seed", options_.seed}, {"category", options_.category}, {"most_hops", options_.most_hops}};
  }

 private:
  static constexpr int64_t kBatch = 2048;

  std::string Write(uint64_t index) const {
    const auto seed = static_cast<uint64_t>(options_.seed);
    if (options_.most_hops > 0) return HopsDocument(seed, index, options_.most_hops);
    return ProbeDocument(seed, index, options_.category == kAll ? "" : std::string_view(options_.category));
  }

  Options options_;
  uint64_t next_ = 0;
  int64_t written_ = 0;
};

FLASHLM_REGISTER_SOURCE("probes", ProbeSource);

}  // namespace
}  // namespace flashlm
