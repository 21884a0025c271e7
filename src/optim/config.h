// The optimiser's settings: what [optim] of a preset holds. Rules and schedules bring their own.
#pragma once

#include <string>

#include "base/fields.h"
#include "optim/decay.h"
#include "optim/lookup_rule.h"
#include "optim/rule.h"
#include "optim/schedule.h"
#include "optim/table_rule.h"

namespace flashlm {

struct OptimConfig {
  std::string optimizer = "adamw";
  double lr = 1.5e-3;
  double embedding_lr = 0;
  double vector_lr = 0;
  double weight_decay = 0.05, embedding_decay = 0;
  bool cautious_decay = false;
  DecaySchedule decay;
  double clip = 1.0;
  OneOfEach<UpdateRule> rules;
  TableRule tables;
  LookupRule lookups;
  std::string schedule = "cosine";
  double warmup_fraction = 0.02;
  double final_lr_fraction = 0.1;
  OneOfEach<Schedule> schedules;

  // Throws UsageError for a rule that is not known or settings of it that do not go together.
  void Validate() const;
  void VisitFields(FieldVisitor& v) {
    v.Text("optimizer", optimizer, Registry<UpdateRule>::Names(),
           "update rule; adamw where it does not take a parameter (muon: the matrices of the blocks)");
    v.Real("lr", lr, 0, 10, "peak learning rate");
    v.Real("embedding_lr", embedding_lr, 0, 10,
           "peak learning rate of the embedding and of tables that are only looked up; 0: lr");
    v.Real("vector_lr", vector_lr, 0, 10, "peak learning rate of gains and biases; 0: lr");
    v.Real("weight_decay", weight_decay, 0, 10, "decoupled decay of matrices (never of heads, vectors)");
    v.Real("embedding_decay", embedding_decay, 0, 10, "the same of embeddings and of tables that are only looked up");
    v.Bool("cautious_decay", cautious_decay, "decay only values that the step itself brings nearer to zero");
    decay.VisitFields(v);
    v.Real("clip", clip, 0, 1e9, "largest global gradient norm; 0: no clipping");
    rules.VisitFields(v);
    tables.VisitFields(v);
    lookups.VisitFields(v);
    v.Text("schedule", schedule, Registry<Schedule>::Names(), "after the warm-up, by the fraction of the budget");
    v.Real("warmup_fraction", warmup_fraction, 0, 1, "part of the budget in which the rate rises linearly");
    v.Real("final_lr_fraction", final_lr_fraction, 0, 1, "of the peak, at the end of the budget");
    schedules.VisitFields(v);
  }
};

// Factor on every peak learning rate at `fraction` of the budget (clamped to [0,1]; docs/spec/training.md#schedule): a
// linear warm-up, then between 1 and final_lr_fraction as the schedule has it.
double ScheduleFactor(const OptimConfig& config, double fraction);

}  // namespace flashlm
