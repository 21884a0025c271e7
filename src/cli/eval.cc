// flashlm eval
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "eval/by_depth.h"
#include "eval/choices.h"
#include "eval/evaluate.h"
#include "eval/stories.h"
#include "infer/loaded_model.h"

namespace flashlm::cli {
namespace {

struct EvalArguments {
  std::string model, text, tokens, pairs, cloze, data, precision = "auto";
  std::optional<int> depth;
  std::optional<int> stories;
  WriteOptions write;
  bool by_depth = false;
  bool json = false;
};

void CheckOptions(const EvalArguments& options) {
  if (options.text.empty() && options.pairs.empty() && options.cloze.empty() && !options.stories) {
    throw UsageError("eval needs --text FILE, --pairs FILE, --cloze FILE or --stories N");
  }
  if (!options.pairs.empty() && !options.cloze.empty()) {
    throw UsageError("--pairs and --cloze together", "both report \"accuracy\"; ask for one at a time");
  }
  if (!options.tokens.empty() && options.text.empty()) throw UsageError("--tokens goes with --text");
  if (options.by_depth && options.text.empty()) throw UsageError("--by-depth goes with --text");
  if (options.by_depth && options.depth) {
    throw UsageError("--by-depth and --depth together", "by depth means at every one");
  }
  if (options.tokens == "-" && options.json) {
    throw UsageError("--tokens - and --json together", "both are written to standard output; name a file for one");
  }
  if (options.text == "-" && (options.pairs == "-" || options.cloze == "-" || options.stories)) {
    throw UsageError("standard input for two options", "it can be read once");
  }
  RefuseOverwriting("--tokens", options.tokens, {{options.text, options.pairs, options.cloze, options.model}});
}

// What is read of the model must not be where the tokens are written.
void RefuseTokensInside(const EvalArguments& options, const LoadedModel& loaded) {
  for (const char* part :
       {"config.json", "model.safetensors", "tokenizer.json", "optimizer.safetensors", "trainer.json"}) {
    RefuseOverwriting("--tokens", options.tokens, {{loaded.folder + "/" + part}});
  }
  for (const char* part : {"config.toml", "log.jsonl", "samples.txt", "results.json"}) {
    // Of the run, whether it was named itself or by one of its checkpoints.
    RefuseOverwriting("--tokens", options.tokens, {{options.model + "/" + part, loaded.folder + "/../../" + part}});
  }
}

// Each part of an evaluation adds to the JSON and returns its lines of text.

std::string EvaluateText(const EvalArguments& options, const LoadedModel& loaded, DType dtype, Json& json) {
  if (!options.tokens.empty()) InstallInterruptHandler();  // what is half written is removed before the end
  EvalOptions eval_options;
  eval_options.interactive = true;
  const EvalResult result =
      EvaluateFile(*loaded.model, dtype, loaded.tokenizer, options.text, options.tokens, eval_options);
  json.update(ToJson(result));
  json["nats_by_position"] = NatsByPosition(result);
  return fmt::format(
             "{:.4f}{} bits per byte ({:.4f} nats per token; {} tokens, {} bytes, {} documents; "
             "{})\n",
             result.bits_per_byte(), FormatError(result.stderr_bits_per_byte, 4), result.nats_per_token(),
             result.tokens, result.bytes, result.documents, NameOf(dtype)) +
         DescribeNatsByPosition(result) + DescribeValueHeads(result);
}

std::string CompareDepths(const EvalArguments& options, const LoadedModel& loaded, DType dtype, Json& json) {
  EvalOptions eval_options;
  eval_options.interactive = true;
  const std::vector<DepthText> depths =
      EvaluateByDepth(*loaded.model, dtype, loaded.tokenizer, options.text, eval_options);
  json["by_depth"] = ToJson(depths);
  return Describe(depths);
}

std::string EvaluateChoices(const EvalArguments& options, const LoadedModel& loaded, DType dtype, Json& json) {
  if (!options.pairs.empty()) {
    const ChoiceResult result = EvaluatePairs(*loaded.model, dtype, loaded.tokenizer, options.pairs);
    json.update(PairsToJson(result));
    return DescribePairs(result);
  }
  const ChoiceResult result = EvaluateCloze(*loaded.model, dtype, loaded.tokenizer, options.cloze);
  json.update(ClozeToJson(result));
  return fmt::format("cloze: {:.1f} % of {} ({})\n", 100 * result.all.accuracy(), result.all.items, NameOf(dtype));
}

std::string WriteStories(const EvalArguments& options, const LoadedModel& loaded, Json& json) {
  StoriesOptions stories;
  stories.write = options.write;
  stories.write.documents = *options.stories;
  stories.text = options.text;
  stories.data = options.data.empty() ? TrainingDataOf(loaded) : options.data;
  stories.interactive = true;
  const DType dtype = DecodingType(loaded, options.precision);
  const StoriesReport report = EvaluateStories(*loaded.model, dtype, loaded.tokenizer, stories);
  json["stories"] = ToJson(report);
  return DescribeStories(report);
}

void Run(const EvalArguments& options) {
  CheckOptions(options);
  const LoadedModel loaded = LoadModel(options.model);
  RefuseTokensInside(options, loaded);
  const DType dtype = ScoringType(loaded, options.precision);
  if (options.depth) loaded.model->SetDepth(*options.depth);
  if (options.by_depth) RefuseByDepth(*loaded.model);
  Json json;
  json["model"] = loaded.folder;
  json["precision"] = NameOf(dtype);
  // Beside the tokens' lines on standard output there is nothing else.
  const auto report = [&](const std::string& lines) {
    if (options.json) return;
    if (options.tokens == "-") {
      Say(lines.substr(0, lines.size() - 1));
    } else {
      Print(lines);
    }
  };
  if (!options.text.empty()) report(EvaluateText(options, loaded, dtype, json));
  if (options.by_depth) report(CompareDepths(options, loaded, dtype, json));
  if (!options.pairs.empty() || !options.cloze.empty()) report(EvaluateChoices(options, loaded, dtype, json));
  if (options.stories) report(WriteStories(options, loaded, json));
  if (options.json) PrintJson(json);
}

}  // namespace

void AddEval(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("eval", "bits per byte of a text, accuracy on pairs and cloze items, measures of stories");
  auto options = std::make_shared<EvalArguments>();
  verb->add_option("--model", options->model, "run folder, checkpoint, model folder or packed file")->required();
  verb->add_option(
      "--text", options->text,
      "a file, or - for standard input: documents separated by lines <|endoftext|>, or by <|endoftext|> inside lines "
      "where a text clearly uses it so; every token is scored once");
  verb->add_option("--tokens", options->tokens,
                   "write one JSON object per scored token to this file, or to standard output (-)");
  verb->add_option("--pairs", options->pairs,
                   "JSON lines {\"good\": text, \"bad\": text}, or as BLiMP has them: {\"sentence_good\", "
                   "\"sentence_bad\", \"field\", \"linguistics_term\"}; -: standard input");
  verb->add_option("--cloze", options->cloze,
                   "JSON lines {\"context\": text, \"options\": [...], \"answer\": index}; -: standard input");
  CLI::Option* stories = verb->add_option(
      "--stories", options->stories,
      "let the model write so many stories and measure them beside as many of --text, or of the run's validation text");
  stories->check(CLI::Range(1, 1 << 20));
  SamplerConfig& sampler = options->write.sampler;
  verb->add_option("--temp,--temperature", sampler.temperature, "of --stories; 0: always the most probable token")
      ->needs(stories);
  verb->add_option("--top-p", sampler.top_p, "of --stories: the shortest list of tokens whose mass exceeds p; 1: all")
      ->needs(stories);
  verb->add_option("--seed", sampler.seed, "of --stories")->needs(stories);
  verb->add_option("--story-tokens", options->write.max_tokens, "after which a story is cut off")
      ->check(CLI::Range(1, 1'000'000))
      ->needs(stories);
  CLI::Option* search = verb->add_option(
      "--search", options->write.search,
      "of --stories: after its beginning write each by search-guided decoding that weighs this many candidates");
  search->needs(stories)->check(CLI::Range(1, 1024));
  verb->add_option("--beta", options->write.search_beta, "weight of the value head in the search")->needs(search);
  verb->add_option("--data", options->data,
                   "the training data, for what stories copy from it; the run's own if it is there")
      ->needs(stories);
  verb->add_option("--depth", options->depth, "passes through the reasoning engine, of models that have one");
  verb->add_flag(
      "--by-depth", options->by_depth,
      "the same of --text at depth 1, 3, 8 and each token's own choice: bits per byte, time, tokens by depth");
  verb->add_option("--precision", options->precision,
                   "of matrix products: auto (the run's own, else what is fastest here), f32, bf16 or int8");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
