// Checkpoints of a run, published so that a crash at any moment or a full disk leaves the previous one
// usable:
//
//   RUN/checkpoints/step_000500/{config.json, model.safetensors, tokenizer.json, optimizer.safetensors,
//   trainer.json} RUN/latest -> checkpoints/step_000500     RUN/best -> checkpoints/step_000400
//
// Where the model is blended with a mean of late weights there is also average.safetensors, and where ranks make steps
// of their own outer.safetensors.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "tensor/param_bank.h"
#include "tensor/param_state.h"

namespace flashlm {

struct CheckpointContent {
  Json config;
  const ParamBank& bank;
  const ParamState& state;  // the optimiser's, of this bank
  std::string tokenizer_json;
  Json trainer_state;                   // what the trainer needs to go on; given back as it was
  const ParamState* average = nullptr;  // of train/average.h; null: the bank's values are those that are trained
  // A file that belongs to the model and never changes (ngram.bin); "": none. The checkpoint has it under its own name,
  // as a hard link where that is possible: it lies on the disk once, and a copy of a checkpoint is complete.
  std::string constant_file = "";
  const ParamState* outer = nullptr;  // of cluster/outer_step.h; null: there are no local steps
};

// The links that are to name a checkpoint, beside `latest`.
struct CheckpointMarks {
  bool best = false, before_decay = false;
};

// Writes into a temporary folder beside the others, syncs, renames, then moves the links and removes old
// checkpoints: the newest `keep` and those that links name stay, and so does a sound one of a later step. The folder's
// path is returned. Publishing the same step again replaces it. Throws Error, also saying which checkpoint is
// intact. One process at a time may write a run (FolderLock of base/files.h).
std::string PublishCheckpoint(const std::string& run_folder, int64_t step, const CheckpointContent& content,
                              CheckpointMarks marks, int keep = 2);

enum class OpenFor {
  kResume,     // the newest checkpoint, with its optimizer and trainer state
  kInference,  // the newest model
  kBestModel,  // the best model, or the newest if none was marked best
};

struct OpenedCheckpoint {  // NOLINT(bugprone-exception-escape): Json's move is noexcept and keeps to it
  std::string folder;
  int64_t step = -1;  // -1: a plain model folder
  Json config;
  Json trainer_state;  // null: a plain model folder
  std::string model_path, tokenizer_path;
  std::string optimizer_path;            // "" if there is none
  std::string average_path, outer_path;  // the same
};

// Opens a run folder, one of its checkpoints, or a plain model folder. All files that `purpose` needs are
// verified against their recorded sizes and SHA-256. In a run, a damaged checkpoint is named with Say() and
// the next newest sound one is taken; elsewhere, and if none is sound, throws Error saying what is wrong with
// which file.
OpenedCheckpoint OpenCheckpoint(const std::string& folder, OpenFor purpose);

}  // namespace flashlm
