// The README.md of an exported model: what the Hugging Face hub reads of it, what it is, how to run it, and its figures
// as they were measured, or that they were not.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "infer/loaded_model.h"

namespace flashlm {

struct CardOptions {
  std::string name;                 // of the model; "": that of its preset
  std::string license = "unknown";  // as the hub spells it
  std::string language = "en";
  std::vector<std::string> datasets;  // of the hub
};

// What results.json says of exactly these weights.
struct CardFigures {
  bool known = false;
  double bits_per_byte = 0, perplexity = 0;  // perplexity 0: not known
  double stderr_bits_per_byte = 0;           // 0: not known
  int64_t documents = 0;
  std::string part;  // "test": no choice was made on it; "dev": these weights were chosen by it
};

// Of the run that the model is from; not known for a model without a run, or other weights than those measured.
CardFigures FiguresOf(const LoadedModel& loaded);

// native: the class of transformers that loads it; "": none, and FlashLM reads it.
std::string ModelCard(const LoadedModel& loaded, const std::string& native, const CardOptions& options);

}  // namespace flashlm
