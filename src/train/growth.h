// Steps that read more, and sequences that get longer, as a run goes on: the batch that still pays is small at first
// and grows (docs/spec/training.md#growth).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"

namespace flashlm {

struct TrainConfig;

struct GrowthConfig {
  std::string batch, length;  // "FRACTION:VALUE, ...": empty for none
  double rate_exponent = 0.5;

  void VisitFields(FieldVisitor& v) {
    v.Text("batch_growth", batch, {},
           "FRACTION:MULTIPLE, ...: from that part of the budget on a step has so many times `accumulate` "
           "micro-batches, as 0.33:2,0.66:3");
    v.Real("batch_rate_exponent", rate_exponent, 0, 1, "learning rates are multiplied by MULTIPLE to this power");
    v.Text("length_growth", length, {},
           "FRACTION:TOKENS, ...: from that part of the budget on sequences are cut into pieces of so many tokens, a "
           "divisor of sequence_length, as 0:128,0.33:256");
  }
};

// What one step reads: `accumulate` micro-batches of `micro_batch` sequences of `length` tokens.
struct StepSize {
  int accumulate = 1, micro_batch = 1, length = 1;

  int64_t Tokens() const { return int64_t{accumulate} * micro_batch * length; }
  bool operator==(const StepSize&) const = default;
};

class Growth {
 public:
  // Throws UsageError for settings that are not understood or ask for parts of micro-batches or sequences.
  explicit Growth(const TrainConfig& train);

  // `fraction` of the budget is done. What has grown stays grown, also where a longer budget would not have had it
  // grown so far.
  void Advance(double fraction);
  StepSize Size() const;
  // Factor on all learning rates.
  double Rate() const;
  // The most tokens of a step.
  int64_t MostTokens() const;
  // Micro-batches of a step, of each stage.
  std::vector<int> MicroBatches() const;

  // The stage of each kind; of what is constant nothing.
  void VisitFields(FieldVisitor& v);

 private:
  struct Stage {
    double from;  // part of the budget
    double value;
  };
  // The stages of `text`, the first of them from 0 on, with value `first` unless the text says another.
  static std::vector<Stage> Parse(const std::string& key, const std::string& text, double first);

  int micro_batch_, length_, accumulate_;
  double rate_exponent_;
  std::vector<Stage> batch_, lengths_;
  int batch_stage_ = 0, length_stage_ = 0;
};

}  // namespace flashlm
