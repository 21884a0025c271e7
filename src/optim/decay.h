// The course of weight decay over a run: a factor on all of [optim]'s decays. Beside it decay is multiplied by the
// learning rate, as decoupled decay is.
#pragma once

#include <string>

#include "base/fields.h"

namespace flashlm {

struct DecaySchedule {
  std::string kind = "constant";
  double hold_until = 0.133, low_at = 0.533, low = 0.125, end = 1.16;

  void VisitFields(FieldVisitor& v) {
    v.Text("decay_schedule", kind, {"constant", "follow", "dip"},
           "of weight decay: follow: as the learning rate; dip: held, lowered, and raised to the end (repeated text)");
    v.Real("decay_hold_until", hold_until, 0, 1, "dip: part of the budget until which decay is held");
    v.Real("decay_low_at", low_at, 0, 1, "dip: part of the budget at which it is lowest; straight lines in between");
    v.Real("decay_low", low, 0, 100, "dip: factor there");
    v.Real("decay_end", end, 0, 100, "dip: factor at the end of the budget");
  }

  // `fraction` of the budget is done; lr_factor: of the learning-rate schedule.
  double Factor(double fraction, double lr_factor) const;
};

}  // namespace flashlm
