#include "infer/loaded_model.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/paths.h"
#include "io/bank_files.h"
#include "io/checkpoint.h"
#include "io/model_folder.h"
#include "io/packed_file.h"
#include "kernels/gemm/precision.h"
#include "kernels/isa.h"

namespace flashlm {
namespace {

// A configuration that this program cannot build is not a wrong command line: name the file instead.
std::unique_ptr<Model> BuildModel(const Json& config, const std::string& where) {
  try {
    return MakeModel(config, /*for_training=*/false);
  } catch (const UsageError& error) {
    throw Error(fmt::format("{}: {}", where, error.what()), error.hint());
  }
}

void CheckVocabulary(const LoadedModel& loaded, const std::string& tokenizer) {
  if (loaded.tokenizer.vocab_size() == loaded.model->vocab()) return;
  throw Error(fmt::format("{} has {} entries, but the model in {} was made for {}", tokenizer,
                          loaded.tokenizer.vocab_size(), loaded.folder, loaded.model->vocab()),
              "put back the tokenizer.json that the model was trained with");
}

void LoadNGrams(const std::string& path, Model& model) {
  if (!Exists(path)) {
    throw Error(fmt::format("'{}' is missing: the model was trained with the n-grams in it", path),
                "copy it from the run's folder, or from another checkpoint of the run");
  }
  const MappedFile file(path);
  model.SetNGrams(std::make_shared<NGramModel>(NGramModel::Deserialize(file.text(), path)));
}

// What is known of a training and safe to pass on, of the types that readers expect: a packed file may say anything.
Json KnownOf(const Json& state) {
  Json known = Json::object();
  if (!state.is_object()) return known;
  const auto take = [](const Json& from, const char* key, bool number, Json& to) {
    const Json value = from.value(key, Json());
    if (number ? value.is_number_integer() : value.is_string()) to[key] = value;
  };
  take(state, "step", true, known);
  take(state, "tokens", true, known);
  take(state, "precision", false, known);
  const Json run = state.value("run", Json());
  known["run"] = Json::object();
  for (const char* key : {"preset", "recipe", "data_fingerprint"}) {
    if (run.is_object()) take(run, key, false, known["run"]);
  }
  return known;
}

Tokenizer TokenizerIn(const PackedFile& file, const std::string& path) {
  return Tokenizer::FromJson(std::string(file.Bytes(kTokenizerFile)), fmt::format("{} in '{}'", kTokenizerFile, path));
}

LoadedModel LoadPacked(const std::string& path) {
  const PackedFile file(path);
  const auto part = [&](const char* name) { return fmt::format("{} in '{}'", name, path); };
  LoadedModel loaded{BuildModel(file.config(), part(kConfigFile)), TokenizerIn(file, path), KnownOf(file.about()),
                     path};
  loaded.step = loaded.trainer_state.value("step", int64_t{-1});
  CheckVocabulary(loaded, part(kTokenizerFile));
  file.Load(loaded.model->bank());
  if (loaded.model->ngram() != nullptr) {
    loaded.model->SetNGrams(
        std::make_shared<NGramModel>(NGramModel::Deserialize(file.Bytes(kNGramFile), part(kNGramFile))));
  }
  return loaded;
}

}  // namespace

LoadedModel LoadModel(const std::string& path, bool prefer_best) {
  if (IsPackedFile(path)) return LoadPacked(path);
  const OpenedCheckpoint checkpoint = OpenCheckpoint(path, prefer_best ? OpenFor::kBestModel : OpenFor::kInference);
  LoadedModel loaded{BuildModel(checkpoint.config, FileIn(checkpoint.folder, kConfigFile)),
                     Tokenizer::Load(checkpoint.tokenizer_path), checkpoint.trainer_state, checkpoint.folder,
                     checkpoint.step};
  CheckVocabulary(loaded, checkpoint.tokenizer_path);
  LoadValues(checkpoint.model_path, loaded.model->bank());
  loaded.model->bank().Touch();
  if (loaded.model->ngram() != nullptr) LoadNGrams(FileIn(checkpoint.folder, kNGramFile), *loaded.model);
  return loaded;
}

Tokenizer LoadTokenizer(const std::string& path) {
  if (IsPackedFile(path)) return TokenizerIn(PackedFile(path), path);
  if (!IsFolder(path)) return Tokenizer::Load(path);
  for (const char* checkpoint : {"best", "latest"}) {
    const std::string file = FileIn(FileIn(path, checkpoint), kTokenizerFile);
    if (Exists(file)) return Tokenizer::Load(file);
  }
  return Tokenizer::Load(FileIn(path, kTokenizerFile));
}

void RefuseLostFloats(const LoadedModel& loaded, const std::string& cannot, const std::string& instead) {
  if (loaded.model->bank().TernaryCount() == 0 || !IsPackedFile(loaded.folder)) return;
  throw Error(fmt::format("'{}' cannot {}: a packed model has lost the floats behind its ternary weights",
                          loaded.folder, cannot),
              instead + " the run or the model folder that it was made of");
}

Json AboutTraining(const LoadedModel& loaded) {
  Json about = KnownOf(loaded.trainer_state);
  if (loaded.step >= 0) about["step"] = loaded.step;
  return about;
}

DType ScoringType(const LoadedModel& loaded, const std::string& precision) {
  if (precision == "auto" && loaded.trainer_state.is_object()) {
    const Json trained = loaded.trainer_state.value("precision", Json());
    if (trained == NameOf(DType::kF32)) return DType::kF32;
    if (trained == NameOf(DType::kBF16) && kernels::MultipliesBf16()) return DType::kBF16;
  }
  return kernels::ComputeType(precision, kernels::Work::kPrefill);
}

DType DecodingType(const LoadedModel& loaded, const std::string& precision) {
  if (precision == "auto" && loaded.model->bank().KeepsIntegers() && kernels::HasVnni()) return DType::kI8;
  return kernels::ComputeType(precision, kernels::Work::kDecoding);
}

}  // namespace flashlm
