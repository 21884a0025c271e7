// Self-amplification (docs/spec/training.md#own-stories): in a phase whose source is not the data alone the model
// writes stories, a frozen copy of it scores them, and training goes on with those that are kept, in a stated mixture
// with real text. The control is the same budget without: train.own_share = 0.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/json.h"
#include "infer/write_documents.h"
#include "models/model.h"
#include "text/tokenizer.h"
#include "train/own_stories.h"

namespace flashlm {

inline constexpr const char* kOwnStoriesFile = "own_stories.jsonl";    // docs/formats.md#run-folder
inline constexpr const char* kFrozenFile = "own_stories.safetensors";  // the copy that scores

struct AmplificationConfig {
  double share = 0.25;
  int stories = 128;
  int rounds = 4;
  int tokens = 256;
  double band_low = 0.1, band_high = 0.6;
  double distinct = 0.75;
  double repetition = 0.1;

  void VisitFields(FieldVisitor& v) {
    v.Real("own_share", share, 0, 1,
           "in a phase whose source is mixture: part of the sequences that are of stories which the model wrote; 0: "
           "none, and none are written");
    v.Int("own_stories", stories, 1, 1 << 20, "stories that are written in a round");
    v.Int("own_rounds", rounds, 1, 1000, "rounds of such a phase, evenly over it");
    v.Int("own_tokens", tokens, 8, 4096, "most tokens of a story; longer ones, and those below an eighth, are dropped");
    v.Real("own_band_low", band_low, 0, 1,
           "stories are kept within a band of nats per token; where it begins: at this part of the first round's");
    v.Real("own_band_high", band_high, 0, 1, "where it ends, likewise");
    v.Real("own_distinct", distinct, 0, 1, "least part of a story's pairs of words that are different ones");
    v.Real("own_repetition", repetition, 0, 1, "most part of a story's 4-grams of words that it has had before");
  }
  void Validate() const;
};

// What became of a round's stories.
struct AmplificationRound {
  int64_t written = 0, unfinished = 0, length = 0, repetition = 0, distinct = 0, band = 0, kept = 0;
  double nats_per_token = 0;  // of those kept, mean over stories; 0: none
  double seconds = 0;

  Json ToJson() const;
  std::string Describe() const;  // "23 of 64 kept (...)"
};

class Amplification {
 public:
  // `dtype`: of the products of those who write and score. Throws UsageError for a band that ends before it begins.
  Amplification(const AmplificationConfig& config, const std::string& run_folder, uint64_t seed, DType dtype);

  const OwnStories& stories() const { return stories_; }
  double band_low() const { return low_; }  // nats per token; both 0 before there is one
  double band_high() const { return high_; }

  // Another phase begins: its first round freezes a copy anew, and sets another band.
  void BeginPhase() { rounds_ = 0; }
  // Whether the next round is due when `part` of such a phase is done.
  bool Due(double part) const;
  // Lets the model write, and keeps what passes, before step `step`. None if it was interrupted: nothing has changed.
  std::optional<AmplificationRound> Round(Model& model, const Tokenizer& tokenizer, int64_t step);

  // Of a run that goes on after `step`, with the fields that its checkpoint has. Throws Error if the run folder does
  // not hold the stories that it was trained with.
  void Restore(const Model& model, int64_t step);
  void VisitFields(FieldVisitor& v);

 private:
  struct Candidate;

  void Freeze(const Model& model);
  void Thaw(const Model& model);  // what was frozen
  std::vector<Candidate> Sift(const std::vector<WrittenDocument>& documents, const Tokenizer& tokenizer,
                              AmplificationRound& round) const;
  void Score(std::vector<Candidate>& candidates);
  void SetBand(const std::vector<Candidate>& candidates);
  void Keep(const Candidate& candidate, int64_t step);
  std::string Path(const char* name) const { return folder_ + "/" + name; }

  AmplificationConfig config_;
  std::string folder_;
  uint64_t seed_;
  DType dtype_;
  std::unique_ptr<Model> frozen_;
  OwnStories stories_;
  std::string lines_;  // of own_stories.jsonl
  int rounds_ = 0;     // of the phase
  int64_t written_ = 0, kept_ = 0;
  double low_ = 0, high_ = 0;
};

}  // namespace flashlm
