// flashlm import
#include <memory>

#include "base/paths.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "exchange/hf_import.h"

namespace flashlm::cli {
namespace {

struct ImportArguments {
  std::string from, out;
  bool json = false;
};

void Run(const ImportArguments& options) {
  InstallInterruptHandler();  // a folder that is half written is removed before the end
  RefuseStandardOutput("--out", options.out);
  const ImportReport report = ImportHuggingFace(options.from, options.out);
  if (options.json) return PrintJson(ToJson(report));
  Print(Describe(report));
}

}  // namespace

void AddImport(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("import", "a small Llama, Mistral or Qwen3 of transformers as a model folder");
  auto options = std::make_shared<ImportArguments>();
  verb->add_option("--from", options->from,
                   "folder of transformers: config.json, model.safetensors, tokenizer.json (byte-level BPE)")
      ->required();
  verb->add_option("--out", options->out, "model folder to make")->required();
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
