// `export --format packed`: a trained model as one small file (io/packed_file.h), and what the rounding costs.
#pragma once

#include <optional>
#include <string>

#include "eval/evaluate.h"
#include "infer/loaded_model.h"
#include "io/packed_file.h"

namespace flashlm {

// What rounding the float matrices costs, in bits per byte on the same documents; products in `dtype` on both sides.
struct RoundingCost {
  std::string text;  // what was read
  EvalResult exact, packed;
  double bits_per_byte = 0;         // packed - exact
  double stderr_bits_per_byte = 0;  // of the difference, over documents, paired
  DType dtype = DType::kF32;
};

struct PackedOptions {
  Packing floats = Packing::kInt8;
  std::string text;     // to measure the cost on; "": the validation text of the model's run, where it is there
  double seconds = 10;  // that each of the two readings may take, about; more documents are left out
  bool interactive = false;
};

struct PackedReport {
  std::string path;
  Packing floats = Packing::kInt8;
  // Of the file, and of its parts.
  uint64_t bytes = 0, ternary_bytes = 0, float_bytes = 0, ngram_bytes = 0, other_bytes = 0;
  double bits_per_ternary_weight = 0;  // 0: there are none
  std::optional<RoundingCost> cost;
  std::string not_measured;  // why there is no cost: "" if there is
};

// Writes the file, reads it back, and measures. Throws Error naming the file if either fails; `loaded` is not changed.
PackedReport ExportPacked(const LoadedModel& loaded, const std::string& path, const PackedOptions& options);

// {"format", "out", "bytes", "ternary_bytes", "float_bytes", "ngram_bytes", "other_bytes", "bits_per_ternary_weight",
// "floats", "cost_bits_per_byte", "cost_stderr", "bits_per_byte", "packed_bits_per_byte", "documents", "text",
// "precision"}; the last seven are null where nothing was measured, and "not_measured" then says why.
Json ToJson(const PackedReport& report);
std::string Describe(const PackedReport& report);

}  // namespace flashlm
