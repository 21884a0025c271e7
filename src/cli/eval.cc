// flashlm eval
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "eval/choices.h"
#include "eval/evaluate.h"
#include "infer/loaded_model.h"

namespace flashlm::cli {
namespace {

struct Options {
  std::string model, text, tokens, pairs, cloze, precision = "auto";
  std::optional<int> depth;
  bool json = false;
};

void Run(const Options& options) {
  if (options.text.empty() && options.pairs.empty() && options.cloze.empty()) {
    throw UsageError("eval needs --text FILE, --pairs FILE or --cloze FILE");
  }
  if (!options.pairs.empty() && !options.cloze.empty()) {
    throw UsageError("--pairs and --cloze together", "both report \"accuracy\"; ask for one at a time");
  }
  if (!options.tokens.empty() && options.text.empty()) throw UsageError("--tokens goes with --text");
  if (options.tokens == "-" && options.json) {
    throw UsageError("--tokens - and --json together", "both are written to standard output; name a file for one");
  }
  if (options.text == "-" && (options.pairs == "-" || options.cloze == "-")) {
    throw UsageError("standard input for two options", "it can be read once");
  }
  // Beside the tokens' lines on standard output there is nothing else.
  const auto report = [&](const std::string& line) { options.tokens == "-" ? Say(line) : Print(line + "\n"); };
  RefuseOverwriting("--tokens", options.tokens, {{options.text, options.pairs, options.cloze}});
  LoadedModel loaded = LoadModel(options.model);
  for (const char* part :
       {"config.json", "model.safetensors", "tokenizer.json", "optimizer.safetensors", "trainer.json"}) {
    RefuseOverwriting("--tokens", options.tokens, {{loaded.folder + "/" + part}});
  }
  for (const char* part : {"config.toml", "log.jsonl", "samples.txt", "results.json"}) {
    // Of the run, whether it was named itself or by one of its checkpoints.
    RefuseOverwriting("--tokens", options.tokens, {{options.model + "/" + part, loaded.folder + "/../../" + part}});
  }
  const DType dtype = ScoringType(loaded, options.precision);
  if (options.depth) loaded.model->SetDepth(*options.depth);
  Json json;
  json["model"] = loaded.folder;
  json["precision"] = NameOf(dtype);
  if (!options.text.empty()) {
    if (!options.tokens.empty()) InstallInterruptHandler();  // what is half written is removed before the end
    EvalOptions eval_options;
    eval_options.interactive = true;
    const EvalResult result =
        EvaluateFile(*loaded.model, dtype, loaded.tokenizer, options.text, options.tokens, eval_options);
    json.update(ToJson(result));
    if (!options.json) {
      report(
          fmt::format("{:.4f} ± {:.4f} bits per byte ({:.4f} nats per token; {} tokens, {} bytes, {} documents; "
                      "{})",
                      result.bits_per_byte(), result.stderr_bits_per_byte, result.nats_per_token(), result.tokens,
                      result.bytes, result.documents, NameOf(dtype)));
    }
  }
  if (!options.pairs.empty()) {
    const ChoiceResult result = EvaluatePairs(*loaded.model, dtype, loaded.tokenizer, options.pairs);
    json.update(PairsToJson(result));
    if (!options.json)
      report(fmt::format("pairs: {:.1f} % of {} ({})", 100 * result.all.accuracy(), result.all.items, NameOf(dtype)));
  }
  if (!options.cloze.empty()) {
    const ChoiceResult result = EvaluateCloze(*loaded.model, dtype, loaded.tokenizer, options.cloze);
    json.update(ClozeToJson(result));
    if (!options.json)
      report(fmt::format("cloze: {:.1f} % of {} ({})", 100 * result.all.accuracy(), result.all.items, NameOf(dtype)));
  }
  if (options.json) PrintJson(json);
}

}  // namespace

void AddEval(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("eval", "bits per byte of a text, accuracy on pairs and cloze items");
  auto options = std::make_shared<Options>();
  verb->add_option("--model", options->model, "run folder, checkpoint or model folder")->required();
  verb->add_option(
      "--text", options->text,
      "a file, or - for standard input: documents separated by lines <|endoftext|>, or by <|endoftext|> inside lines "
      "where a text clearly uses it so; every token is scored once");
  verb->add_option("--tokens", options->tokens,
                   "write one JSON object per scored token to this file, or to standard output (-)");
  verb->add_option("--pairs", options->pairs, "JSON lines {\"good\": text, \"bad\": text}; -: standard input");
  verb->add_option("--cloze", options->cloze,
                   "JSON lines {\"context\": text, \"options\": [...], \"answer\": index}; -: standard input");
  verb->add_option("--depth", options->depth, "passes through the reasoning engine, of models that have one");
  verb->add_option("--precision", options->precision,
                   "of matrix products: auto (the run's own, else what is fastest here), f32, bf16 or int8");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
