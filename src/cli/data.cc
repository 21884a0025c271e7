// flashlm data prepare | inspect
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fields.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "data/inspect.h"
#include "data/prepare.h"
#include "data/sources.h"
#include "infer/loaded_model.h"
#include "train/config.h"

namespace flashlm::cli {
namespace {

struct PrepareArguments {
  PrepareOptions options;
  std::string tokens, mix, tokenizer;
  std::optional<int64_t> seed, synthetic_bytes;
  std::vector<std::string> sets, mix_sets;
  bool json = false;
};

// `sets`: KEY=VALUE, over what other words have `named`.
Json SourceOptions(const std::vector<std::string>& sets, Json named = Json::object()) {
  Json document = {{"source", std::move(named)}};
  for (const std::string& assignment : sets) ApplyOverride("source." + assignment, document);
  return document["source"];
}

void Prepare(const PrepareArguments& arguments) {
  InstallInterruptHandler();
  PrepareOptions options = arguments.options;
  Json named = Json::object();
  if (arguments.seed) named["seed"] = *arguments.seed;
  if (arguments.synthetic_bytes) named["bytes"] = *arguments.synthetic_bytes;
  options.source_options = SourceOptions(arguments.sets, std::move(named));
  if (!arguments.tokens.empty()) options.tokens = static_cast<int64_t>(Budget::Tokens(arguments.tokens).amount);
  if (!arguments.mix.empty()) options.mix = ParseMix(arguments.mix);
  if (!arguments.mix_sets.empty() && arguments.mix.empty()) {
    throw UsageError("--mix-set needs --mix", "it sets an option of the source that is mixed in");
  }
  options.mix.options = SourceOptions(arguments.mix_sets);
  if (!arguments.tokenizer.empty()) {
    options.tokenizer = LoadTokenizer(arguments.tokenizer);
    options.tokenizer_name = arguments.tokenizer;
  }
  const Json meta = PrepareData(options);
  if (arguments.json) PrintJson(meta);
}

std::string SourcesHelp() {
  std::string text = "Sources besides text files, and their options for --set:\n";
  for (const SourceEntry& entry : RegisteredSources()) {
    text += fmt::format("  {}{}: {}\n", entry.name, entry.ending.empty() ? "" : ", or *" + entry.ending, entry.about);
    if (const std::string options = entry.help(); !options.empty()) text += options;
  }
  return text +
         "\nText is UTF-8. Documents are separated by lines <|endoftext|>; where a text clearly puts <|endoftext|> "
         "inside\n"
         "lines instead (at least twice, and ten times as often as on lines of its own), it separates there as well.\n";
}

void AddPrepareData(CLI::App& data) {
  CLI::App* prepare = data.add_subcommand("prepare", "text to tokenizer, token shards and validation text");
  auto arguments = std::make_shared<PrepareArguments>();
  PrepareOptions& options = arguments->options;
  prepare
      ->add_option("--input", options.input,
                   "a file, a folder of .txt files, - for standard input, or a source named below")
      ->required()
      ->default_str("");
  prepare->add_option("--out", options.out, "the folder to make")->required();
  prepare->add_option(
      "--valid", options.valid,
      "validation text, as --input; without it the source's own, else 1 % of the documents are held out");
  CLI::Option* vocab = prepare->add_option("--vocab", options.vocab, "entries of the tokenizer");
  prepare
      ->add_option(
          "--tokenizer", arguments->tokenizer,
          "a tokenizer.json, or a run, model folder or packed file with one, to encode with instead of training one")
      ->excludes(vocab);
  prepare->add_option("--tokens", arguments->tokens, "keep only the first so many tokens of training text, as 10M");
  prepare->add_option("--mix", arguments->mix,
                      "SOURCE=SHARE, as probes=0.1: so much of the training tokens from documents of another source, "
                      "evenly among the others; tokenizer and validation text stay as they are");
  prepare->add_option("--mix-set", arguments->mix_sets,
                      "KEY=VALUE: an option of the source that is mixed in, as category=k_hop of probes");
  prepare->add_option("--set", arguments->sets, "KEY=VALUE: an option of the source");
  prepare->add_option("--seed", arguments->seed, "the same as --set seed=N");
  prepare->add_option("--synthetic-bytes", arguments->synthetic_bytes, "the same as --set bytes=N");
  prepare->add_flag("--json", arguments->json, "print meta.json");
  prepare->footer(SourcesHelp);
  prepare->callback([arguments] { Prepare(*arguments); });
}

void AddInspectData(CLI::App& data) {
  CLI::App* inspect = data.add_subcommand("inspect", "what a prepared data set holds; checks its files");
  auto folder = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  inspect->add_option("DIR", *folder, "the data set")->required();
  inspect->add_flag("--json", *json, "print JSON");
  inspect->callback([folder, json] {
    const Json report = InspectData(*folder);
    if (*json) {
      PrintJson(report);
    } else {
      Print(DescribeData(report));
    }
  });
}

}  // namespace

void AddData(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "prepare training data, look at it");
  data->require_subcommand(1);
  AddPrepareData(*data);
  AddInspectData(*data);
}

}  // namespace flashlm::cli
