#include "infer/loaded_model.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/paths.h"
#include "io/bank_files.h"
#include "io/checkpoint.h"
#include "io/model_folder.h"
#include "kernels/gemm/precision.h"

namespace flashlm {
namespace {

// A configuration that this program cannot build is not a wrong command line: name the file instead.
std::unique_ptr<Model> BuildModel(const OpenedCheckpoint& checkpoint) {
  try {
    return MakeModel(checkpoint.config, /*for_training=*/false);
  } catch (const UsageError& error) {
    throw Error(fmt::format("{}: {}", FileIn(checkpoint.folder, kConfigFile), error.what()), error.hint());
  }
}

void LoadNGrams(const std::string& path, Model& model) {
  if (!Exists(path)) {
    throw Error(fmt::format("'{}' is missing: the model was trained with the n-grams in it", path),
                "copy it from the run's folder, or from another checkpoint of the run");
  }
  const MappedFile file(path);
  model.SetNGrams(std::make_shared<NGramModel>(NGramModel::Deserialize(file.text(), path)));
}

}  // namespace

LoadedModel LoadModel(const std::string& run_or_model_folder, bool prefer_best) {
  const OpenedCheckpoint checkpoint =
      OpenCheckpoint(run_or_model_folder, prefer_best ? OpenFor::kBestModel : OpenFor::kInference);
  LoadedModel loaded{BuildModel(checkpoint), Tokenizer::Load(checkpoint.tokenizer_path), checkpoint.trainer_state,
                     checkpoint.folder, checkpoint.step};
  if (loaded.tokenizer.vocab_size() != loaded.model->vocab()) {
    throw Error(fmt::format("{} has {} entries, but the model in {} was made for {}", checkpoint.tokenizer_path,
                            loaded.tokenizer.vocab_size(), checkpoint.folder, loaded.model->vocab()),
                "put back the tokenizer.json that the model was trained with");
  }
  LoadValues(checkpoint.model_path, loaded.model->bank());
  loaded.model->bank().Touch();
  if (loaded.model->ngram() != nullptr) LoadNGrams(FileIn(checkpoint.folder, kNGramFile), *loaded.model);
  return loaded;
}

DType ScoringType(const LoadedModel& loaded, const std::string& precision) {
  if (precision == "auto" && loaded.trainer_state.is_object()) {
    const std::string trained = loaded.trainer_state.value("precision", "");
    if (trained == NameOf(DType::kF32)) return DType::kF32;
    if (trained == NameOf(DType::kBF16) && kernels::MultipliesBf16()) return DType::kBF16;
  }
  return kernels::ComputeType(precision, kernels::Work::kPrefill);
}

}  // namespace flashlm
