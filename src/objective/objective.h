// From a model's prediction to what is minimised: cross-entropy of the next token at every position, and the registered
// terms (objective/term.h), each with its weight (docs/spec/training.md#objective). Each part is reported apart.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "objective/term.h"

namespace flashlm {

// Means per token (nats); over micro-batches they are averaged.
class ObjectiveParts {
 public:
  static constexpr size_t kMaxParts = 32;
  struct Part {
    const char* name = nullptr;
    double value = 0;
  };

  double cross_entropy = 0;
  double total = 0;  // what is minimised: cross_entropy and all terms with their weights

  // What is measured beside it: "entropy"; "ngram_weight" (the mean gate of a counted model, if there is one); of a
  // reasoning engine "depth.D", the part of the tokens that made D passes, and "nats_by_depth.D", what these add to
  // cross_entropy; and what the terms report, in the order of their names.
  std::span<const Part> parts() const { return {parts_.data(), count_}; }
  // 0 where nothing of that name is measured.
  double operator[](std::string_view name) const;

  // Room for a part at the end; 0.
  double& Append(const char* name);
  // Adds one of `micro_batches` equal parts of a step.
  void AddShare(const ObjectiveParts& part, int micro_batches);

 private:
  std::array<Part, kMaxParts> parts_;  // a step does not touch the heap
  size_t count_ = 0;
};

class Objective {
 public:
  // The settings of all terms, keys of [train].
  void VisitFields(FieldVisitor& v) {
    v.Real("ngram_joint", ngram_joint_, 0, 1,
           "beside counted n-grams: part of the network's gradient that is the mixture's, the rest is its own loss's");
    terms_.VisitFields(v);
  }
  // Throws UsageError for a term that needs what the model does not have. `model`: as in its config.json.
  void Validate(const Json& model) const;
  // Throws UsageError if one of `keys` of [train], which somebody asked for by name, is a setting of a term that trains
  // nothing of this model.
  void RefuseIdle(const std::vector<std::string>& keys, const Json& model) const;

  // Whether some term in force wants the targets' nats at every depth (TermInputs::depth_nats).
  bool MeasuresDepths(int64_t step, double fraction) const;

  // What a pass of a step is about.
  struct Pass {
    const int32_t *tokens, *targets;           // [N]: what was read, before any word dropout, and what follows
    int64_t step = 0;                          // from 0 on
    double fraction = 1;                       // of the budget that is done
    int micro_batches = 1;                     // equal parts of the step, of which this is one
    const float* const* depth_nats = nullptr;  // of TermInputs
    double measured = 0;
  };

  // Records the losses on the tape (seeded, so that tape.Backward() follows) for one of `micro_batches` equal parts of
  // a step.
  ObjectiveParts Add(Tape& tape, const Prediction& prediction, const Pass& pass) const;
  // The same where no depths are measured.
  ObjectiveParts Add(Tape& tape, const Prediction& prediction, const int32_t* tokens, const int32_t* targets,
                     int64_t step, double fraction, int micro_batches) const;

 private:
  // With the mixture's gradient alone the network does not learn what the counts know already, and is worse where they
  // do not; docs/lab-book.md has the measurement.
  double ngram_joint_ = 0.3;
  OneOfEach<Term> terms_;
};

}  // namespace flashlm
