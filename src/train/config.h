// What a run is: [model], [optim] and [train] of its config.toml, and its budget.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "base/fields.h"
#include "cluster/config.h"
#include "objective/objective.h"
#include "optim/config.h"
#include "train/amplification.h"
#include "train/average.h"
#include "train/growth.h"
#include "train/phases.h"

namespace flashlm {

struct TrainConfig {
  int sequence_length = 256;
  int micro_batch = 8;
  int accumulate = 4;
  int lanes = 0;
  int pieces = 1;
  ClusterConfig cluster;
  GrowthConfig growth;
  std::string shuffle = "chunks";
  int phases = -1;
  AmplificationConfig amplification;
  Objective objective;  // the terms and their settings
  double word_dropout = 0;
  AverageConfig average;
  std::string precision = "auto";
  std::string products = "auto";
  std::string update_products = "auto";
  int log_every = 10;
  int eval_every = 0;
  int eval_documents = 100;
  double eval_share = 0.1;
  int sample_every = 0;
  int checkpoint_every = 200;
  int keep_checkpoints = 2;
  double spike_factor = 10;

  void VisitFields(FieldVisitor& v) {
    v.Int("sequence_length", sequence_length, 1, 1 << 20, "tokens of a training sequence");
    v.Int("micro_batch", micro_batch, 1, 65536, "sequences of one forward and backward pass");
    v.Int("accumulate", accumulate, 1, 65536, "micro-batches of one optimiser step");
    v.Int("lanes", lanes, 0, 256,
          "equal parts of a micro-batch that are passed side by side, each by a thread of its own; 0: as many as there "
          "are threads, at least 2, kept by the run");
    v.Int("pieces", pieces, 1, 65536,
          "equal parts of a lane's sequences, as far as they divide, that are passed one after the other, for less "
          "memory: activations are those of one at a time");
    cluster.VisitFields(v);
    growth.VisitFields(v);
    v.Text("shuffle", shuffle, {"chunks", "documents"},
           "what every epoch puts into another order: the sequences, or the documents that they are cut from too");
    v.Int("phases", phases, -1, 1000,
          "so many of the preset's phases are gone through, the last of them to the end; 0: none, -1: all");
    amplification.VisitFields(v);
    objective.VisitFields(v);
    v.Real("word_dropout", word_dropout, 0, 0.9, "probability with which a token is read as <unk>, in training");
    average.VisitFields(v);
    v.Text("precision", precision, {"auto", "f32", "bf16"},
           "of tensors, and of matrix products that are not in int8; auto: what is fastest here, kept by the run");
    v.Text("products", products, {"auto", "f32", "bf16", "int8"},
           "what the matrix products of training read; int8: rounded with a scale per row, three products of integers "
           "(docs/spec/integers.md); auto: what is fastest here, kept by the run");
    v.Text("update_products", update_products, {"auto", "f32", "bf16"},
           "what the matrix products of updates read, those of Muon; auto: as the others, or if these are in int8 what "
           "is fastest here, kept by the run");
    v.Int("log_every", log_every, 1, 1 << 30, "steps between lines on the screen (log.jsonl has every step)");
    v.Int("eval_every", eval_every, 0, 1 << 30, "steps between evaluations; 0: eight in the budget");
    v.Int("eval_documents", eval_documents, 1, 1 << 30, "most validation documents of an evaluation on the way");
    v.Real(
        "eval_share", eval_share, 0, 100,
        "most time for evaluations, as a part of the training time: half of it on the way, half for the result; but at "
        "least 2 seconds and 4 documents each");
    v.Int("sample_every", sample_every, 0, 1 << 30, "steps between samples; 0: with every evaluation");
    v.Int("checkpoint_every", checkpoint_every, 1, 1 << 30, "steps between checkpoints");
    v.Int("keep_checkpoints", keep_checkpoints, 1, 1000, "newest checkpoints that are kept, beside the best");
    v.Real("spike_factor", spike_factor, 0, 1e9,
           "a step whose gradient norm exceeds this times the running mean is "
           "skipped; 0: never");
  }

  // Of a step as it is without growth.
  StepSize Size() const { return {accumulate, micro_batch, sequence_length}; }
  int64_t TokensPerStep() const { return Size().Tokens(); }
  // Of a micro-batch, and of a lane's sequences: as many as divide them. A growing sequence leaves fewer of them.
  int LanesOf(const StepSize& size) const { return std::gcd(size.micro_batch, std::max(1, lanes)); }
  int PiecesOf(const StepSize& size) const { return std::gcd(size.micro_batch / LanesOf(size), pieces); }
};

// When training ends. Exactly one kind is set.
struct Budget {
  std::string kind = "steps";  // "time" (seconds), "tokens", "steps"
  double amount = 0;

  // "2h", "90s", "10m", "1h30m"; "1.5"; "10M", "2.5k"; "500"; throws UsageError naming the option.
  static Budget Time(const std::string& text);
  static Budget Hours(const std::string& text);
  static Budget Tokens(const std::string& text);
  static Budget Steps(const std::string& text);
  // Done so far, of 1.
  double Fraction(double seconds, int64_t tokens, int64_t steps) const;
  std::string ToString() const;
  Json ToJson() const;  // {"kind", "amount"}
  static Budget FromJson(const Json& json);
};

// A budget that took another's place (train/extension.h), and the learning-rate schedule under it.
struct Extension {
  Budget budget;              // in all, what was done before included
  int64_t from_step = 0;      // the checkpoint that training went on from
  double schedule_begin = 0;  // where the schedule begins, in the budget's unit; it ends with the budget
  bool warmup = true;         // whether the rate rises there first

  Json ToJson() const;
  static Extension FromJson(const Json& json);
};

struct RunConfig {
  std::string preset;
  std::string recipe;  // whose lines the preset was completed with (models/presets.h); "": none
  Json model;          // {"architecture": ..., fields}; read by MakeModel
  OptimConfig optim;
  TrainConfig train;
  std::vector<Phase> phases;          // empty: one, which is all of the run
  Budget budget;                      // as the run was begun
  std::vector<Extension> extensions;  // the last one is in force
  std::string data;                   // folder that `data prepare` made: an absolute path
  std::string data_fingerprint;       // of what is in it (data/shards.h); "" in runs of earlier versions
  uint64_t seed = 1;
  // The model whose values the parameters start with (an absolute path that LoadModel opens); "": drawn from the seed.
  std::string start;

  // The budget in force and its schedule.
  Extension Schedule() const { return extensions.empty() ? Extension{budget} : extensions.back(); }
  Budget CurrentBudget() const { return Schedule().budget; }
  // Where the schedule stands after so much training, from 0 to 1: what ScheduleFactor takes.
  double ScheduleFraction(double seconds, int64_t tokens, int64_t steps) const;

  // From a configuration document (models/presets.h) with overrides applied. Throws UsageError for unknown sections.
  static RunConfig FromDocument(const Json& document, const std::string& preset);
  // As written to config.toml and trainer.json, and back.
  Json ToJson() const;
  static RunConfig FromJson(const Json& json);
};

}  // namespace flashlm
