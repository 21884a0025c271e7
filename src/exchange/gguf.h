// `export --format gguf`: one file that llama.cpp and what is built on it read, for models of exactly its shape qwen3
// (the architecture "llama" here with qk_norm; the preset gpt-qwen3 is one).
//
// GGUF (github.com/ggml-org/ggml/blob/master/docs/gguf.md), version 3, little-endian: magic, version, numbers of
// tensors and of keys, the keys with their values, name, dimensions (fastest first), type and offset of each tensor,
// and from a multiple of 32 bytes on the tensors, each at a multiple of 32.
#pragma once

#include <string>

#include "infer/loaded_model.h"

namespace flashlm {

struct GgufReport {
  std::string path;
  uint64_t bytes = 0;
  int tensors = 0;
  DType matrices = DType::kF32;
};

// matrices: f32 or bf16; vectors are f32 always. name: general.name; "": that of the preset. Throws Error for a model
// that is not of that shape, saying why, or has values that are not finite.
GgufReport ExportGguf(const LoadedModel& loaded, const std::string& path, DType matrices, const std::string& name,
                      const std::string& license);

Json ToJson(const GgufReport& report);
std::string Describe(const GgufReport& report);

}  // namespace flashlm
