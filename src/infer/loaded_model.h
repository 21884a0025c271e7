// A trained model from disk, ready to read and write text.
#pragma once

#include <memory>
#include <string>

#include "models/model.h"
#include "text/tokenizer.h"

namespace flashlm {

struct LoadedModel {
  std::unique_ptr<Model> model;  // for inference only: no gradients, no moments
  Tokenizer tokenizer;
  Json trainer_state;  // of the checkpoint; null for a plain model folder
  std::string folder;  // that was read: a checkpoint of the run, or the model folder
  int64_t step = -1;   // of the checkpoint; -1 for a plain model folder
};

// Opens a run (its best checkpoint, or the newest one), one of its checkpoints, or a model folder. Throws
// Error naming the file and what is wrong with it: missing or damaged, an unknown architecture, parameters
// that do not fit, a tokenizer of another vocabulary.
LoadedModel LoadModel(const std::string& run_or_model_folder, bool prefer_best = true);

// What products read where a trained model scores text: with "auto" the type that its run trained and evaluated in, so
// that figures agree with the run's own, where it is recorded and this CPU has it; else kernels::ComputeType for
// reading many tokens.
DType ScoringType(const LoadedModel& loaded, const std::string& precision);

}  // namespace flashlm
