// `import --from HF_DIR`: a Llama-, Mistral- or Qwen3-shaped model of transformers with byte-level BPE becomes a model
// folder here. What cannot be carried is refused by name.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace flashlm {

struct ImportReport {
  std::string folder, type;  // what was made; theirs, as "qwen3"
  int64_t parameters = 0;
  int vocab = 0;
  std::vector<std::string> notes;  // what is not as it was there, one sentence each
};

// Reads config.json, model.safetensors (F32, BF16 or F16), tokenizer.json and, where it is there,
// generation_config.json of `from`; makes the folder `out`, which must not exist or be empty. Here ids 0 to 3 are
// reserved and documents begin and end with id 3: where it is otherwise there, tokens are renumbered, with their rows
// of the embedding.
ImportReport ImportHuggingFace(const std::string& from, const std::string& out);

Json ToJson(const ImportReport& report);
std::string Describe(const ImportReport& report);

}  // namespace flashlm
