// What a run is: [model], [optim] and [train] of its config.toml, and its budget.
#pragma once

#include <string>

#include "base/fields.h"
#include "objective/objective.h"
#include "optim/config.h"

namespace flashlm {

struct TrainConfig {
  int sequence_length = 256;
  int micro_batch = 8;
  int accumulate = 4;
  Objective objective;  // the terms and their settings
  double word_dropout = 0;
  std::string precision = "auto";
  int log_every = 10;
  int eval_every = 0;
  int eval_documents = 100;
  int sample_every = 0;
  int checkpoint_every = 200;
  int keep_checkpoints = 2;
  double spike_factor = 10;

  void VisitFields(FieldVisitor& v) {
    v.Int("sequence_length", sequence_length, 1, 1 << 20, "tokens of a training sequence");
    v.Int("micro_batch", micro_batch, 1, 65536, "sequences of one forward and backward pass");
    v.Int("accumulate", accumulate, 1, 65536, "micro-batches of one optimiser step");
    objective.VisitFields(v);
    v.Real("word_dropout", word_dropout, 0, 0.9, "probability with which a token is read as <unk>, in training");
    v.Text("precision", precision, {"auto", "f32", "bf16"},
           "of matrix products; auto: what is fastest here, kept by the run");
    v.Int("log_every", log_every, 1, 1 << 30, "steps between lines on the screen (log.jsonl has every step)");
    v.Int("eval_every", eval_every, 0, 1 << 30, "steps between evaluations; 0: eight in the budget");
    v.Int("eval_documents", eval_documents, 1, 1 << 30, "validation documents of an evaluation on the way");
    v.Int("sample_every", sample_every, 0, 1 << 30, "steps between samples; 0: with every evaluation");
    v.Int("checkpoint_every", checkpoint_every, 1, 1 << 30, "steps between checkpoints");
    v.Int("keep_checkpoints", keep_checkpoints, 1, 1000, "newest checkpoints that are kept, beside the best");
    v.Real("spike_factor", spike_factor, 0, 1e9,
           "a step whose gradient norm exceeds this times the running mean is "
           "skipped; 0: never");
  }

  int64_t TokensPerStep() const { return int64_t{sequence_length} * micro_batch * accumulate; }
};

// When training ends. Exactly one kind is set.
struct Budget {
  std::string kind = "steps";  // "time" (seconds), "tokens", "steps"
  double amount = 0;

  // "2h", "90s", "10m", "1h30m"; "10M", "2.5k"; throws UsageError naming the option.
  static Budget Time(const std::string& text);
  static Budget Hours(double hours);
  static Budget Tokens(const std::string& text);
  static Budget Steps(int64_t steps);
  // Done so far, of 1.
  double Fraction(double seconds, int64_t tokens, int64_t steps) const;
  std::string ToString() const;
};

struct RunConfig {
  std::string preset;
  Json model;  // {"architecture": ..., fields}; read by MakeModel
  OptimConfig optim;
  TrainConfig train;
  Budget budget;
  std::string data;  // folder that `data prepare` made
  uint64_t seed = 1;

  // From a configuration document (models/presets.h) with overrides applied. Throws UsageError for unknown sections.
  static RunConfig FromDocument(const Json& document, const std::string& preset);
  // As written to config.toml and trainer.json, and back.
  Json ToJson() const;
  static RunConfig FromJson(const Json& json);
};

}  // namespace flashlm
