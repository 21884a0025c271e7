#include "exchange/hf_export.h"

#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "exchange/native_layout.h"
#include "exchange/new_folder.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/safetensors.h"

namespace flashlm {
namespace {

// How the tokenizer's file spells the reserved ids.
std::string SpellingOf(const nlohmann::json& tokenizer, int id) {
  for (const auto& [name, other] : tokenizer.at("model").at("vocab").items()) {
    if (other == id) return name;
  }
  return "";
}

void WriteJson(const std::string& path, const Json& json) { WriteFileAtomic(path, ToText(json, 2) + "\n"); }

void WriteNative(const LoadedModel& loaded, const std::string& folder) {
  const Model& model = *loaded.model;
  std::vector<TensorToWrite> tensors;
  for (const NativeTensor& tensor : NativeTensorsOf(model.config())) {
    const ParamInfo* info = model.bank().Find(tensor.ours);
    FLASHLM_CHECK(info != nullptr && info->shape == tensor.shape, "'{}' is not as transformers have it", tensor.ours);
    tensors.push_back({tensor.theirs, tensor.shape, model.bank().values() + info->offset});
  }
  FLASHLM_CHECK(tensors.size() == model.bank().infos().size(), "the model has more than transformers know");
  WriteSafetensors(FileIn(folder, kModelFile), tensors, {{"format", "pt"}});
  WriteJson(FileIn(folder, kConfigFile), ToNativeConfig(model, Tokenizer::kEos, Tokenizer::kPad));
  const std::string tokenizer_json = loaded.tokenizer.ToJson();
  const auto tokenizer = nlohmann::json::parse(tokenizer_json);
  WriteFileAtomic(FileIn(folder, kTokenizerFile), tokenizer_json);
  const std::string eos = SpellingOf(tokenizer, Tokenizer::kEos);
  WriteJson(FileIn(folder, "tokenizer_config.json"), {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                                      {"bos_token", eos},
                                                      {"eos_token", eos},
                                                      {"pad_token", SpellingOf(tokenizer, Tokenizer::kPad)},
                                                      {"clean_up_tokenization_spaces", false},
                                                      {"model_max_length", model.config().at("window")}});
  WriteJson(FileIn(folder, "generation_config.json"), {{"bos_token_id", Tokenizer::kEos},
                                                       {"eos_token_id", Tokenizer::kEos},
                                                       {"pad_token_id", Tokenizer::kPad},
                                                       {"do_sample", true}});
}

void WriteOurs(const LoadedModel& loaded, const std::string& folder) {
  const Model& model = *loaded.model;
  WriteModelFolder(folder, model.config(), model.bank(), loaded.tokenizer.ToJson());
  if (model.ngram() != nullptr) WriteFileAtomic(FileIn(folder, kNGramFile), model.ngram()->model().Serialize());
}

}  // namespace

HfReport ExportHuggingFace(const LoadedModel& loaded, const std::string& folder, const CardOptions& card) {
  RefuseLostFloats(loaded, "become a folder", "export");
  NewFolder made("--out", folder);
  RefuseInfinite(folder, loaded.model->bank());
  const NativeModel native = NativeModelOf(*loaded.model);
  if (native.exists()) {
    WriteNative(loaded, made.path());
  } else {
    WriteOurs(loaded, made.path());
  }
  WriteFileAtomic(FileIn(made.path(), "README.md"), ModelCard(loaded, native.class_name, card));
  made.Commit();
  return {folder, native.class_name, native.why_not, FiguresOf(loaded).known};
}

Json ToJson(const HfReport& report) {
  return {{"format", "hf"},
          {"out", report.folder},
          {"class", report.native.empty() ? Json() : Json(report.native)},
          {"why_no_class", report.why_not.empty() ? Json() : Json(report.why_not)},
          {"figures_in_card", report.figures}};
}

std::string Describe(const HfReport& report) {
  const std::string what = report.native.empty()
                               ? fmt::format("a model folder of FlashLM with a card ({})", report.why_not)
                               : fmt::format("loaded by transformers as {}", report.native);
  return fmt::format("{}: {}{}\n", report.folder, what,
                     report.figures ? "" : "; the card has no figures: these weights were not measured");
}

}  // namespace flashlm
