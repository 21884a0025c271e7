#include "infer/loaded_model.h"

#include "base/error.h"
#include "io/bank_files.h"
#include "io/checkpoint.h"
#include "io/model_folder.h"
#include "io/paths.h"
#include "kernels/isa.h"

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
  return loaded;
}

DType ComputeType(const std::string& precision) {
  if (precision == "f32") return DType::kF32;
  if (precision == "auto") return kernels::HasNativeBf16() ? DType::kBF16 : DType::kF32;
  if (precision == "int8") {
    if (!kernels::HasVnni()) throw UsageError("this CPU has no int8 vector products (VNNI)", "use bf16, f32, or auto");
    return DType::kI8;
  }
  if (precision != "bf16") {
    throw UsageError(fmt::format("unknown precision '{}'", precision),
                     NearestHint(precision, {"auto", "f32", "bf16", "int8"}));
  }
  if (!kernels::HasNativeBf16()) {
    throw UsageError("this CPU does not multiply bf16 natively", "use f32, or auto");
  }
  return DType::kBF16;
}

}  // namespace flashlm
