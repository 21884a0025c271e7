// `export --format hf`: a folder as the Hugging Face hub has them.
//
// Where a class of transformers is of the model's architecture (exchange/native_layout.h) the folder is that class's:
// plain transformers loads it without code of its own and computes the same logits. Any other model is exported as what
// it is, a model folder of FlashLM, with a card that says what reads it: refusing would keep it from being shared, and
// code for transformers that nobody here runs would be a second implementation that may be wrong.
#pragma once

#include <string>

#include "exchange/model_card.h"

namespace flashlm {

struct HfReport {
  std::string folder;
  std::string native;    // the class; "": a model folder of FlashLM
  std::string why_not;   // why there is no class
  bool figures = false;  // in the card
};

// Makes `folder`, which must not exist or be empty: it appears whole or not at all. Throws Error, as for a packed model
// with ternary weights and for values that are not finite, or UsageError for a folder that has something in it.
HfReport ExportHuggingFace(const LoadedModel& loaded, const std::string& folder, const CardOptions& card);

Json ToJson(const HfReport& report);
std::string Describe(const HfReport& report);

}  // namespace flashlm
