// The optimiser's settings: what [optim] of a preset holds.
#pragma once

#include <string>

#include "base/fields.h"

namespace flashlm {

struct OptimConfig {
  std::string optimizer = "adamw";
  double lr = 1.5e-3;
  double embedding_lr = 0;
  double vector_lr = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.05;
  double clip = 1.0;
  double muon_lr = 0.02, muon_momentum = 0.95;
  int muon_steps = 5;
  std::string schedule = "cosine";
  double warmup_fraction = 0.02;
  double decay_fraction = 0.5;
  double final_lr_fraction = 0.1;

  void VisitFields(FieldVisitor& v) {
    v.Text("optimizer", optimizer, {"adamw", "muon"}, "muon: for the matrices of the blocks, AdamW for the rest");
    v.Real("lr", lr, 0, 10, "peak learning rate of AdamW");
    v.Real("embedding_lr", embedding_lr, 0, 10, "peak learning rate of the embedding; 0: lr");
    v.Real("vector_lr", vector_lr, 0, 10, "peak learning rate of gains and biases; 0: lr");
    v.Real("beta1", beta1, 0, 0.9999, "decay of AdamW's first moment");
    v.Real("beta2", beta2, 0, 0.999999, "decay of AdamW's second moment");
    v.Real("eps", eps, 0, 1, "added to AdamW's denominator");
    v.Real("weight_decay", weight_decay, 0, 10, "decoupled decay of matrices (never of embedding, heads, vectors)");
    v.Real("clip", clip, 0, 1e9, "largest global gradient norm; 0: no clipping");
    v.Real("muon_lr", muon_lr, 0, 10, "peak learning rate of Muon");
    v.Real("muon_momentum", muon_momentum, 0, 0.9999, "Nesterov momentum of Muon");
    v.Int("muon_steps", muon_steps, 1, 10, "Newton-Schulz iterations of Muon");
    v.Text("schedule", schedule, {"cosine", "linear", "constant"}, "after the warm-up, by the fraction of the budget");
    v.Real("warmup_fraction", warmup_fraction, 0, 1, "part of the budget in which the rate rises linearly");
    v.Real("decay_fraction", decay_fraction, 0, 1, "linear: part of the budget, at its end, in which the rate falls");
    v.Real("final_lr_fraction", final_lr_fraction, 0, 1, "of the peak, at the end of the budget");
  }
};

// Factor on every peak learning rate at `fraction` of the budget (clamped to [0,1]; docs/spec/training.md#schedule).
// cosine: from 1 after the warm-up to final_lr_fraction; linear: constant, then a straight line down; constant: 1.
double ScheduleFactor(const OptimConfig& config, double fraction);

}  // namespace flashlm
