// flashlm export
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "exchange/gguf.h"
#include "exchange/hf_export.h"
#include "exchange/packed_export.h"
#include "infer/loaded_model.h"

namespace flashlm::cli {
namespace {

struct ExportArguments {
  std::string model, out, format, text;
  std::optional<std::string> floats;
  CardOptions card;
  bool json = false;
};

// The model would be overwritten by what is made of it.
void RefuseOwnFiles(const ExportArguments& options, const LoadedModel& loaded) {
  RefuseOverwriting("--out", options.out, {{options.model, options.text}});
  if (!IsInside(options.out, loaded.folder)) return;
  throw UsageError(fmt::format("--out '{}' lies in the model's own folder '{}'", options.out, loaded.folder),
                   "choose a place outside of it");
}

// What is not a folder could go there, but among the lines of the report.
void RefuseReportsStream(const ExportArguments& options) {
  if (options.out != "-" && !SameFile(options.out, "/dev/stdout")) return;
  throw UsageError(fmt::format("--out {}: --format {} makes a file, and standard output is for what is said of it",
                               options.out, options.format),
                   options.out == "-" ? "name a file; ./- is one that is called '-'" : "name a file");
}

void RefuseFolder(const ExportArguments& options) {
  if (!IsFolder(options.out)) return;
  throw UsageError(fmt::format("--out '{}' is a folder; --format {} makes a file", options.out, options.format));
}

Packing FloatsOf(const ExportArguments& options, Packing standard) {
  if (!options.floats) return standard;
  for (const Packing packing : {Packing::kInt8, Packing::kBF16, Packing::kF32}) {
    if (*options.floats == NameOf(packing)) return packing;
  }
  throw UsageError(fmt::format("--floats {}: choose int8, bf16 or f32", *options.floats));
}

template <class Report>
void Show(const ExportArguments& options, const Report& report) {
  if (options.json) return PrintJson(ToJson(report));
  Print(Describe(report));
}

void AsPacked(const ExportArguments& options, const LoadedModel& loaded) {
  PackedOptions packed;
  packed.floats = FloatsOf(options, Packing::kInt8);
  packed.text = options.text;
  packed.interactive = true;
  Show(options, ExportPacked(loaded, options.out, packed));
}

void AsGguf(const ExportArguments& options, const LoadedModel& loaded) {
  const DType matrices = FloatsOf(options, Packing::kF32) == Packing::kBF16 ? DType::kBF16 : DType::kF32;
  Show(options, ExportGguf(loaded, options.out, matrices, options.card.name, options.card.license));
}

// What goes with one format only.
void CheckOptions(const ExportArguments& options) {
  const bool packed = options.format == "packed", hf = options.format == "hf";
  if (hf) {
    RefuseStandardOutput("--out", options.out);
  } else {
    RefuseReportsStream(options);
  }
  if (!packed && !options.text.empty()) throw UsageError("--text goes with --format packed");
  if (hf && options.floats)
    throw UsageError("--floats does not go with --format hf", "it has f32, which loses nothing");
  if (!packed && !hf && FloatsOf(options, Packing::kF32) == Packing::kInt8) {
    throw UsageError("--floats int8 goes with --format packed", "of gguf: f32 or bf16");
  }
  FloatsOf(options, Packing::kF32);
  if (!hf) RefuseFolder(options);
  if (!hf && !options.card.datasets.empty()) throw UsageError("--dataset goes with --format hf");
  if (packed && !options.card.name.empty()) throw UsageError("--name goes with --format hf and gguf");
}

void Run(const ExportArguments& options) {
  InstallInterruptHandler();  // what is half written is removed before the end
  CheckOptions(options);
  const LoadedModel loaded = LoadModel(options.model);
  RefuseOwnFiles(options, loaded);
  if (options.format == "packed") {
    AsPacked(options, loaded);
  } else if (options.format == "hf") {
    Show(options, ExportHuggingFace(loaded, options.out, options.card));
  } else {
    AsGguf(options, loaded);
  }
}

}  // namespace

void AddExport(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("export", "a trained model as one small file, or for other programs");
  auto options = std::make_shared<ExportArguments>();
  CardOptions& card = options->card;
  verb->add_option("--model", options->model, "run folder, checkpoint, model folder or packed file")->required();
  verb->add_option("--out", options->out, "file to write, or of hf the folder to make")->required();
  verb->add_option("--format", options->format,
                   "packed: one file that every --model here reads; hf: a folder for transformers and the hub; gguf: "
                   "one file for llama.cpp (models of the preset gpt-qwen3's shape)")
      ->required()
      ->check(CLI::IsMember({"packed", "hf", "gguf"}));
  verb->add_option("--floats", options->floats,
                   "how matrices that are not ternary are stored; packed: int8 (the default: a scale a row), bf16 or "
                   "f32; gguf: f32 (the default) or bf16");
  verb->add_option("--text", options->text,
                   "of packed: a text on which the cost of --floats is measured; the run's validation text if it is "
                   "there");
  verb->add_option("--name", card.name, "of hf and gguf: what the model is called; by its preset");
  verb->add_option("--license", card.license, "of hf and gguf: as the hub spells it, for example mit");
  verb->add_option("--language", card.language, "of hf: of the training text");
  verb->add_option("--dataset", card.datasets, "of hf: what it was trained on, as the hub calls it; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
