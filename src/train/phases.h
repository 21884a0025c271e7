// Phases of a run: from a part of its budget on, what is trained, how deep, and with which losses
// (docs/spec/training.md#phases). A run without phases knows nothing of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/json.h"
#include "models/model.h"
#include "objective/objective.h"

namespace flashlm {

// One [[phases]] of a configuration.
struct Phase {
  std::string name;
  double from = 0;
  std::string freeze;
  int depth = -1;
  std::array<double, 2> difficulty = {0, 100};  // percentiles of the stories that are read, the easiest being 0
  std::string source = "data";
  Json losses = Json::object();  // settings of [train] that belong to the objective, in place of the run's

  bool writes() const { return source != "data"; }

  void VisitFields(FieldVisitor& v) {
    v.Text("name", name, {}, "what it is called");
    v.Real("from", from, 0, 1, "part of the budget from which on it holds");
    v.Text("freeze", freeze, {}, "beginnings of the names of parameters that are left as they are: rcsm., embed");
    v.Int("depth", depth, -1, 1024, "passes of the reasoning engine; 0: each token chooses; -1: as before");
    v.Text("source", source, {"data", "own", "mixture"},
           "what is read: the training data, stories that the model writes itself (train.own_*), or both");
  }
  static Phase FromJson(const Json& json, const std::string& where);
  Json ToJson() const;
};

// Of a configuration's "phases". Throws UsageError for what is not an array of phases, the first from 0 on and each
// later than the one before.
std::vector<Phase> PhasesFromJson(const Json& json, const std::string& where);

// Parameters [begin, end) of the bank's flat arrays, apart from each other.
struct FrozenRange {
  int64_t begin, end;
};

// Where a run is in its phases.
class Phases {
 public:
  // Throws UsageError for a phase that freezes nothing, or goes to a depth that the model does not have, or has
  // settings that are none of the objective's, or would let a model write for itself that has counted n-grams, which
  // know no story but the data's. `model` keeps its depth.
  Phases(std::vector<Phase> phases, const Objective& objective, const Model& model);

  bool empty() const { return phases_.empty(); }
  int count() const { return static_cast<int>(phases_.size()); }
  // 1-based; of a run with phases.
  int number() const { return current_ + 1; }
  const Phase& phase() const { return phases_[static_cast<size_t>(current_)]; }
  const Objective& objective() const { return objectives_[static_cast<size_t>(current_)]; }
  // -1: as the model has it.
  int depth() const;
  const std::vector<FrozenRange>& frozen() const { return frozen_[static_cast<size_t>(current_)]; }

  // How much of the present phase is done when `fraction` of the budget is, from 0 to 1.
  double Part(double fraction) const;

  // `fraction` of the budget is done. Returns whether another phase has begun. What has begun is not taken back, also
  // where a longer budget would not have come so far.
  bool Advance(double fraction);

  // The phase, of a run that has several.
  void VisitFields(FieldVisitor& v) {
    if (count() > 1) v.Int("phase", current_, 0, count() - 1, "of the phases, from 0");
  }

 private:
  std::vector<Phase> phases_;
  std::vector<Objective> objectives_;
  std::vector<std::vector<FrozenRange>> frozen_;
  int current_ = 0;
};

}  // namespace flashlm
