// Models that other programs know: the architecture "llama" as transformers' Qwen3ForCausalLM and LlamaForCausalLM and
// as llama.cpp's qwen3. Names, shapes and settings, each way.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "models/model.h"

namespace flashlm {

struct NativeModel {
  std::string type;        // of transformers' config.json: "qwen3" or "llama"
  std::string class_name;  // "Qwen3ForCausalLM"
  std::string why_not;     // why there is no class for it; "": there is
  bool exists() const { return why_not.empty(); }
};
NativeModel NativeModelOf(const Model& model);

struct NativeTensor {
  std::string ours, theirs, gguf;  // names
  std::vector<int> shape;          // the same in all three; GGUF writes its dimensions the other way round
};
// All tensors of a model of this configuration, of the architecture "llama", in the order of its bank.
std::vector<NativeTensor> NativeTensorsOf(const Json& config);

// transformers' config.json. Documents begin and end with `eos`; `pad` is never read.
Json ToNativeConfig(const Model& model, int eos, int pad);
// Ours of theirs. Throws Error naming `where` and the setting that cannot be carried.
Json FromNativeConfig(const Json& theirs, const std::string& where);

}  // namespace flashlm
