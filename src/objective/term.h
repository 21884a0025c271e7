// A term of the objective beside the cross-entropy of the next token. One file with a class and
//
//   FLASHLM_REGISTER_TERM("my-term", MyTerm);
//
// gives [train] its settings, adds it to what is minimised and log.jsonl its numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/registry.h"
#include "models/model.h"

namespace flashlm {

// One of the equal micro-batches of a step, as a term sees it.
struct TermInputs {
  const Prediction& prediction;
  const int32_t* tokens;   // [N], what was read, before any word dropout
  const int32_t* targets;  // [N], the token that follows each
  double share;            // 1 / micro-batches of the step: gradients are those of weight * share * term
  // Nats of the targets with all tokens at each of kernels::kReasoningDepths, [3] of [N]; null: not measured in this
  // micro-batch, but in a part `measured` of the step's.
  const float* const* depth_nats = nullptr;
  double measured = 0;
};

class Term {
 public:
  virtual ~Term() = default;

  // Its own settings, keys of [train].
  virtual void VisitFields(FieldVisitor&) {}
  // Throws UsageError if a run with these settings cannot train this model. `model`: as in its config.json.
  virtual void Validate(const Json& model) const { static_cast<void>(model); }
  // What a model with this configuration lacks of what the term trains ("value heads"), so that no setting of the term
  // changes anything; "": nothing. `model`: as in its config.json.
  virtual std::string Lacks(const Json& model) const {
    static_cast<void>(model);
    return "";
  }
  // In the objective at `step` (counted from 0), when `fraction` of the budget is done. 0: the term is not part of it,
  // and costs nothing.
  virtual double Weight(int64_t step, double fraction) const = 0;
  // Whether it wants TermInputs::depth_nats where its weight is not 0.
  virtual bool MeasuresDepths() const { return false; }
  // Names of the numbers that Add reports, means per token; their values are 0 while the weight is.
  virtual std::span<const char* const> Parts() const { return {}; }

  // The next two are called for every micro-batch in which the weight is not 0. A term that the cross-entropy computes
  // in passing sets its part of that operation's settings before it.
  virtual void Fuse(Tape&, const TermInputs&, double weight, CrossEntropyConfig& next) const {
    static_cast<void>(weight);
    static_cast<void>(next);
  }
  // After the cross-entropy of the next token, whose results `next` has: adds what else the term has to the tape
  // (seeded losses), fills `parts` and returns the term unweighted, with the sign with which the objective has it.
  virtual double Add(Tape& tape, const TermInputs& inputs, const CrossEntropyResult& next, double weight,
                     std::span<double> parts) const = 0;
};

// Mean of x [rows] where `count` of the rows have a value and the others are 0.
inline double MeanOf(const float* x, int count, int rows) {
  double sum = 0;
  for (int n = 0; n < rows; ++n) sum += x[n];
  return count > 0 ? sum / count : 0;
}

}  // namespace flashlm

#define FLASHLM_REGISTER_TERM(name, Type) FLASHLM_REGISTER(::flashlm::Term, name, Type)
