// A rule by which an optimiser changes parameters. One file with a class and
//
//   FLASHLM_REGISTER_RULE("my-rule", MyRule);
//
// makes `--set optim.optimizer=my-rule` known: it updates the parameters whose role it takes, adamw the rest
// (and optim/lookup_rule.h what is only looked up, where [optim] says so).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/registry.h"
#include "tensor/param_bank.h"

namespace flashlm {

// What one call of a rule works on: neighbouring parameters as one run, or a single matrix (UpdateRule::ByMatrix).
struct RulePiece {
  static constexpr size_t kMaxStates = 4;

  int64_t size;
  int rows, cols;  // of the matrix, contiguous; 0 for a run
  float* values;
  float* gradients;                           // a rule leaves zeros here
  std::array<float*, kMaxStates> state = {};  // in the order of UpdateRule::States, then of LineStates

  int Lines() const { return std::max(rows, cols); }  // rows, or of a wide matrix columns
};

struct RuleStep {
  double lr;              // of this piece in this step
  double weight_decay;    // decoupled: values shrink by 1 - lr weight_decay
  bool cautious;          // only values that the step itself brings nearer to zero (arXiv 2510.12402)
  double gradient_scale;  // what clipping leaves of the gradient: the gradient of the step is this times `gradients`
  int64_t update;         // 1-based count of the updates made
  double fraction;        // of the budget that is done
  DType dtype;            // what matrix products read
};

class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  // Its own settings, keys of [optim].
  virtual void VisitFields(FieldVisitor&) {}
  // True: it heeds RuleStep::cautious.
  virtual bool DecaysCautiously() const { return false; }
  // Throws UsageError for settings that do not go together; asked of the rules of a run.
  virtual void Validate() const {}
  virtual bool Takes(Role) const { return true; }  // never asked for Role::kBuffer
  // Names of what it remembers of every parameter, one float per value, zero at first: "m", "v".
  virtual std::vector<std::string> States() const = 0;
  // Names of what a rule ByMatrix remembers of every line of its matrices, a line being a row, or of a matrix wider
  // than high a column.
  virtual std::vector<std::string> LineStates() const { return {}; }
  // True: Update gets whole matrices, stacked ones one by one, each on one thread while others run beside it. False: it
  // gets runs of any length, one after another, and may use all threads.
  virtual bool ByMatrix() const { return false; }
  // Peak learning rate where `of_role` is that of [optim] (lr, embedding_lr, vector_lr). A parameter's own lr_scale
  // multiplies what it says.
  virtual double PeakRate(double of_role) const { return of_role; }
  virtual void Update(const RulePiece& piece, const RuleStep& step) const = 0;
};

}  // namespace flashlm

#define FLASHLM_REGISTER_RULE(name, Type) FLASHLM_REGISTER(::flashlm::UpdateRule, name, Type)
