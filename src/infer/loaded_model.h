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
  Json trainer_state;  // of the checkpoint; null for a plain model folder; of a packed model what it remembers
  std::string folder;  // that was read: a checkpoint of the run, the model folder, or the packed file
  int64_t step = -1;   // of the checkpoint; -1 for a plain model folder
};

// Opens a run (its best checkpoint, or the newest one), one of its checkpoints, a model folder, or a packed model,
// which is a file (io/packed_file.h). Throws Error naming the file and what is wrong with it: missing or damaged, an
// unknown architecture, parameters that do not fit, a tokenizer of another vocabulary.
LoadedModel LoadModel(const std::string& path, bool prefer_best = true);

// The tokenizer of a run (of its best or newest checkpoint), a checkpoint, a model folder or a packed model, whose
// parameters are not read; or a tokenizer.json. Throws Error likewise.
Tokenizer LoadTokenizer(const std::string& path);

// Throws Error if it was packed and has ternary weights: scales and digits written as floats would be made ternary
// anew, with other scales. `cannot`: what needs the floats, as "start a run"; `instead`: what to do with what it was
// made of.
void RefuseLostFloats(const LoadedModel& loaded, const std::string& cannot, const std::string& instead);

// What a packed file remembers of how its model was trained: LoadedModel::trainer_state of the file. Nothing of the
// machine, such as paths.
Json AboutTraining(const LoadedModel& loaded);

// What products read where a trained model scores text: with "auto" the type that its run trained and evaluated in, so
// that figures agree with the run's own, where it is recorded and this CPU has it; else kernels::ComputeType for
// reading many tokens.
DType ScoringType(const LoadedModel& loaded, const std::string& precision);

// The same where it writes: with "auto" int8 if its float matrices are kept rounded, as in a packed file, and this CPU
// multiplies those; else kernels::ComputeType for decoding.
DType DecodingType(const LoadedModel& loaded, const std::string& precision);

}  // namespace flashlm
