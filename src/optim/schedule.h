// The course of the learning rate. One file with a class and
//
//   FLASHLM_REGISTER_SCHEDULE("my-schedule", MySchedule);
//
// makes `--set optim.schedule=my-schedule` known. The warm-up before it and the floor below it belong to all
// (OptimConfig).
#pragma once

#include "base/registry.h"

namespace flashlm {

class Schedule {
 public:
  virtual ~Schedule() = default;

  // Its own settings, keys of [optim].
  virtual void VisitFields(FieldVisitor&) {}
  // 1: the peak rate, 0: the final one. `fraction` of the budget is done, at least `warmup` and at most 1.
  virtual double Height(double fraction, double warmup) const = 0;
};

}  // namespace flashlm

#define FLASHLM_REGISTER_SCHEDULE(name, Type) FLASHLM_REGISTER(::flashlm::Schedule, name, Type)
