#include "exchange/hf_import.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/paths.h"
#include "exchange/native_layout.h"
#include "exchange/new_folder.h"
#include "exchange/shallow_json.h"
#include "exchange/token_order.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace flashlm {
namespace {

constexpr char kTheirHead[] = "lm_head.weight", kTheirTable[] = "model.embed_tokens.weight";
constexpr char kIndex[] = "model.safetensors.index.json", kPickle[] = "pytorch_model.bin";

void CheckFiles(const std::string& from) {
  if (!IsFolder(from)) throw Error(fmt::format("there is no folder '{}'", from), "check the path");
  if (!Exists(FileIn(from, kModelFile))) {
    if (Exists(FileIn(from, kIndex))) {
      throw Error(fmt::format("'{}' is in several files ({}), which cannot be carried", from, kIndex),
                  "save it with a larger max_shard_size");
    }
    if (Exists(FileIn(from, kPickle))) {
      throw Error(fmt::format("'{}' holds {}, which only Python reads", from, kPickle),
                  "save it with safe_serialization=True");
    }
  }
  for (const char* name : {kConfigFile, kModelFile, kTokenizerFile}) {
    if (!Exists(FileIn(from, name))) {
      throw Error(fmt::format("'{}' has no {}", from, name),
                  "a folder of transformers has config.json, model.safetensors and tokenizer.json");
    }
  }
}

Json ReadSettings(const std::string& path) {
  constexpr uintmax_t kMost = 1 << 18;  // bytes
  return ParseShallow<Json>(ReadSmallFile(path, kMost), path);
}

// An id, or the first of several; -1: none.
int IdOf(const Json& config, const char* key) {
  Json value = config.value(key, Json());
  if (value.is_array() && !value.empty()) value = Json(value[0]);
  return value.is_number_integer() && value >= 0 && value < 65536 ? value.get<int>() : -1;
}

TheirTokens TokensOf(const std::string& from, const Json& config, int rows) {
  TheirTokens tokens{IdOf(config, "eos_token_id"), IdOf(config, "pad_token_id"), IdOf(config, "bos_token_id"), rows};
  const std::string generation = FileIn(from, "generation_config.json");
  if (tokens.eos < 0 && Exists(generation)) tokens.eos = IdOf(ReadSettings(generation), "eos_token_id");
  return tokens;
}

// Before anything of the configuration's size is allocated: every tensor is there with its shape, and nothing else is.
void CheckTensors(const SafetensorsFile& file, const std::vector<NativeTensor>& expected, bool tied) {
  std::vector<std::string> known;
  for (const NativeTensor& tensor : expected) {
    known.push_back(tensor.theirs);
    const std::vector<int>& shape = file.Shape(tensor.theirs);
    if (shape == tensor.shape) continue;
    throw Error(fmt::format("'{}': tensor '{}' has shape [{}], the configuration asks for [{}]", file.path(),
                            tensor.theirs, fmt::join(shape, ", "), fmt::join(tensor.shape, ", ")),
                "config.json and the file do not belong together");
  }
  for (const auto& [name, tensor] : file.tensors()) {
    const bool computed = name.ends_with("rotary_emb.inv_freq") || (tied && name == kTheirHead);
    if (computed || std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw Error(fmt::format("'{}' has a tensor '{}', which cannot be carried", file.path(), name),
                "biases and layers that Llama, Mistral and Qwen3 do not have are refused");
  }
}

// A tied head that is stored again must be the table.
void CheckTiedHead(const SafetensorsFile& file, const std::vector<int>& shape) {
  if (!file.Has(kTheirHead)) return;
  const size_t size = static_cast<size_t>(shape[0]) * static_cast<size_t>(shape[1]);
  std::vector<float> head(size), table(size);
  file.Read(kTheirHead, head.data(), shape);
  file.Read(kTheirTable, table.data(), shape);
  if (std::memcmp(head.data(), table.data(), size * sizeof(float)) == 0) return;
  throw Error(fmt::format("'{}': '{}' is not the table that config.json ties it to", file.path(), kTheirHead),
              "set \"tie_word_embeddings\" to false in config.json if the head is its own");
}

void ReadTensors(const SafetensorsFile& file, const std::vector<NativeTensor>& tensors, const std::vector<int>& theirs,
                 ParamBank& bank) {
  for (const NativeTensor& tensor : tensors) {
    const ParamInfo* info = bank.Find(tensor.ours);
    FLASHLM_CHECK(info != nullptr && info->shape == tensor.shape, "'{}' is not as expected", tensor.ours);
    float* values = bank.values() + info->offset;
    file.Read(tensor.theirs, values, tensor.shape);
    if (!AllFinite(values, info->size)) {
      throw Error(fmt::format("'{}': tensor '{}' has values that are not finite", file.path(), tensor.theirs),
                  "the file is damaged, or its training went wrong");
    }
    if (tensor.theirs != kTheirTable && tensor.theirs != kTheirHead) continue;
    const std::vector<float> rows(values, values + info->size);  // in their order
    const auto cols = static_cast<size_t>(tensor.shape[1]);
    for (size_t id = 0; id < theirs.size(); ++id) {
      std::copy_n(rows.begin() + static_cast<int64_t>(static_cast<size_t>(theirs[id]) * cols), cols,
                  values + id * cols);
    }
  }
  bank.Touch();
}

}  // namespace

ImportReport ImportHuggingFace(const std::string& from, const std::string& out) {
  CheckFiles(from);
  NewFolder made("--out", out);
  const std::string config_path = FileIn(from, kConfigFile), tokenizer_path = FileIn(from, kTokenizerFile);
  const Json their_config = ReadSettings(config_path);
  const Json config = FromNativeConfig(their_config, config_path);
  const SafetensorsFile file(FileIn(from, kModelFile));
  const std::vector<NativeTensor> tensors = NativeTensorsOf(config);
  const bool tied = config.at("tied").get<bool>();
  CheckTensors(file, tensors, tied);
  if (tied) CheckTiedHead(file, tensors.front().shape);

  const int vocab = config.at("vocab").get<int>();
  RenumberedTokenizer renumbered = RenumberTokens(ReadSmallFile(tokenizer_path, kMaxTokenizerJsonBytes),
                                                  TokensOf(from, their_config, vocab), tokenizer_path);
  const Tokenizer tokenizer = Tokenizer::FromJson(renumbered.json, tokenizer_path);

  std::unique_ptr<Model> model;
  try {
    model = MakeModel(config, /*for_training=*/false);
  } catch (const UsageError& error) {
    throw Error(fmt::format("{}: {}", config_path, error.what()), error.hint());
  }
  ReadTensors(file, tensors, renumbered.theirs, model->bank());
  WriteModelFolder(made.path(), model->config(), model->bank(), tokenizer.ToJson());
  made.Commit();

  ImportReport report{out, their_config.value("model_type", ""), model->bank().ParameterCount(), vocab,
                      std::move(renumbered.notes)};
  return report;
}

Json ToJson(const ImportReport& report) {
  return {{"out", report.folder},
          {"model_type", report.type},
          {"parameters", report.parameters},
          {"vocab", report.vocab},
          {"notes", report.notes}};
}

std::string Describe(const ImportReport& report) {
  std::string text = fmt::format("{}: a {} model of {} parameters, {} tokens in its vocabulary\n", report.folder,
                                 report.type, report.parameters, report.vocab);
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace flashlm
