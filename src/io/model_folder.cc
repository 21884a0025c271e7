#include "io/model_folder.h"

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "io/bank_files.h"
#include "io/safetensors.h"

namespace flashlm {
namespace {

constexpr char kFormatKey[] = "format", kModelFormat[] = "flashlm";
constexpr char kConfigKey[] = "config";
constexpr char kTokenizerKey[] = "tokenizer_sha256";

// Null if it is no JSON.
Json Parsed(const std::string& text) {
  try {
    return ParseJson(text, "");
  } catch (const Error&) {
    return {};
  }
}

std::string ArchitectureOf(const std::string& config) {
  const Json json = Parsed(config);
  return json.is_object() ? ToText(json.value("architecture", Json(""))) : "";
}

// With sorted keys: their order means nothing.
bool SameJson(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

}  // namespace

void WriteModelFolder(const std::string& folder, const Json& config, const ParamBank& bank,
                      const std::string& tokenizer_json) {
  MakeFolder(folder);
  SaveValues(FileIn(folder, kModelFile), bank,
             {{kFormatKey, kModelFormat}, {kConfigKey, config.dump()}, {kTokenizerKey, Sha256(tokenizer_json)}});
  WriteFileAtomic(FileIn(folder, kTokenizerFile), tokenizer_json);
  WriteFileAtomic(FileIn(folder, kConfigFile), config.dump(2) + "\n");
}

Json ReadModelFolder(const std::string& folder) {
  for (const char* name : {kConfigFile, kModelFile, kTokenizerFile}) {
    if (Exists(FileIn(folder, name))) continue;
    throw Error(fmt::format("'{}' is not a model folder: it has no {}", folder, name),
                "give a run folder, a checkpoint or a folder with config.json, model.safetensors, tokenizer.json");
  }
  const std::string config_path = FileIn(folder, kConfigFile);
  Json config = ReadJsonFile(config_path);
  if (!config.is_object()) throw Error(fmt::format("'{}' is not a configuration: not an object", config_path));

  const SafetensorsFile model(FileIn(folder, kModelFile));
  const auto recorded = [&](const char* key) {
    const auto found = model.metadata().find(key);
    return found == model.metadata().end() ? std::string() : found->second;
  };
  if (recorded(kFormatKey) != kModelFormat) {
    throw Error(
        fmt::format("'{}' is not a model of FlashLM: its metadata has no format '{}'", model.path(), kModelFormat),
        "a model of transformers is read by `flashlm import`; converters must set the format (docs/formats.md)");
  }
  const std::string config_text = recorded(kConfigKey), tokenizer_hash = recorded(kTokenizerKey);
  if (!config_text.empty() && !SameJson(Parsed(config_text), config)) {
    const std::string ours = ArchitectureOf(ToText(config)), saved = ArchitectureOf(config_text);
    throw Error(fmt::format("'{}' is not the configuration that '{}' was saved with{}", config_path, kModelFile,
                            ours == saved ? "" : fmt::format(": architecture {} instead of {}", ours, saved)),
                "the files of two models were mixed, or config.json was edited");
  }
  const std::string tokenizer_path = FileIn(folder, kTokenizerFile);
  if (!tokenizer_hash.empty() && Sha256OfFile(tokenizer_path) != tokenizer_hash) {
    throw Error(fmt::format("'{}' is not the tokenizer that '{}' was trained with", tokenizer_path, kModelFile),
                "the files of two models were mixed, or tokenizer.json is damaged");
  }
  return config;
}

}  // namespace flashlm
