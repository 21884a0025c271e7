// How the ranks of a run share its steps: keys of [train], which mean nothing to a process that is alone.
#pragma once

#include <algorithm>
#include <string>

#include "base/fields.h"

namespace flashlm {

struct ClusterConfig {
  std::string exchange = "f32";
  int sync_every = 1;
  double outer_lr = 0.7, outer_momentum = 0.5;
  double patience = 60;

  // Whether ranks go on by themselves between two exchanges of weights, rather than exchange every step's gradients.
  bool Local() const { return sync_every > 1; }
  // Seconds for which a rank may be silent where its work has taken this one so many: who is slower is not silent.
  double PatienceFor(double seconds) const { return std::max(patience, 10 * seconds); }
  // Throws UsageError for settings that do not go together.
  void Validate() const;

  void VisitFields(FieldVisitor& v) {
    v.Text("exchange", exchange, {"f32", "bf16", "int8"},
           "what travels between ranks; gradients in f32 (the same bits for any number of ranks) or bf16, differences "
           "of weights (sync_every > 1) in int8 too");
    v.Int("sync_every", sync_every, 1, 1 << 20,
          "steps that every rank makes by itself between two exchanges of weights (DiLoCo); 1: gradients, every step");
    v.Real("outer_lr", outer_lr, 0, 10, "with sync_every > 1: rate of the outer Nesterov step");
    v.Real("outer_momentum", outer_momentum, 0, 0.9999, "its momentum");
    v.Real("patience", patience, 1, 86400,
           "seconds for which a rank may be silent, or ten times what a step takes, before the others end the job");
  }
};

}  // namespace flashlm
