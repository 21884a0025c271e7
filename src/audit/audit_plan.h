// What an audit trains and how much of it: OUT/settings.json. Decided once, by the time there is and the speed of this
// machine, so that every model reads the same tokens in the same order, and an interrupted audit goes on as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audit/audited_model.h"
#include "base/json.h"

namespace flashlm {

// One of the models: the correct one, or what is wrong with it.
struct AuditCase {
  std::string name;       // as its folder and its row in JSON
  std::string title;      // for people
  std::string published;  // the models that were published so; "" for none
  Defects defects;
};
const std::vector<AuditCase>& AuditCases();

// The tasks on which the truth is known: random tokens, of which nothing can be known, and a cycle.
struct ToyTask {
  static constexpr int kVocab = 32;
  static constexpr int kBatch = 32, kLength = 16;       // of random tokens
  static constexpr int kCycle = 16, kCycleSteps = 300;  // 0, 1, ..., 15, 0, ...
  static constexpr double kMargin = 0.01;               // nats below ln V that are no accident
  static AuditedSizes Sizes() { return {.vocab = kVocab, .d_model = 64, .n_layers = 2, .window = 16, .d_mem = 16}; }
};

struct AuditPlan {
  // Sequences have as many tokens as P-RCSM's had; the other published models' had 256.
  static constexpr int kLength = 128, kMicroBatch = 16;

  std::string data;              // folder; "": `data` in OUT, which the audit has made
  std::string data_fingerprint;  // as in RunConfig
  int vocab = 0;
  double seconds = 0;     // asked for
  int64_t steps = 0;      // on text, of every model
  int sequences = 0;      // of the validation text that are scored
  int random_steps = 0;   // on random tokens
  std::string precision;  // of matrix products in training; what is measured is measured in f32
  int lanes = 1;

  AuditedSizes Sizes() const { return {.vocab = vocab}; }
  void VisitFields(FieldVisitor& v);
};
Json ToJson(const AuditPlan& plan);
AuditPlan AuditPlanFromJson(const Json& json, const std::string& where);

// Fills in what depends on time and speed: all of the audit in about `left` seconds on this machine. Trains and reads
// for some two seconds to know. Returns how many seconds it takes: more than `left` where the least that shows anything
// does not fit.
double FitIntoTime(double left, AuditPlan& plan);

}  // namespace flashlm
