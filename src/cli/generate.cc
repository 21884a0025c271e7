// flashlm generate
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "api/json.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "kernels/gemm/precision.h"

namespace flashlm::cli {
namespace {

struct GenerateArguments {
  std::string model, prompt = "Once upon a time", precision = "auto";
  api::GenerateOptions generate;
  std::optional<int> depth;
  bool json = false;
};

void Run(const GenerateArguments& options) {
  // What is wrong with an option is said before a model is read.
  if (options.precision != "auto") kernels::ComputeType(options.precision, kernels::Work::kDecoding);
  api::Model model = api::Model::Load(options.model);
  if (options.depth) model.SetDepth(*options.depth);
  api::Session session(model, options.precision);
  api::Generator generator(session, options.prompt, options.generate);
  if (!options.json) Print(options.prompt);
  while (generator.Next()) {
    if (!options.json) Print(std::string(generator.piece()));
  }
  const api::Generation generation = generator.generation();
  if (options.json) {
    Json json = ToJson(generation);
    json["prompt"] = options.prompt;
    json["precision"] = session.precision();
    PrintJson(json);
  } else {
    Print("\n");
    Say(fmt::format("{} tokens, {:.0f} tokens/s, {}", generation.tokens.size(), generation.tokens_per_s,
                    session.precision()));
  }
}

}  // namespace

void AddGenerate(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("generate", "continue a text, streaming");
  auto options = std::make_shared<GenerateArguments>();
  api::GenerateOptions& generate = options->generate;
  verb->add_option("--model", options->model, "run folder, checkpoint, model folder or packed file")->required();
  verb->add_option("-p,--prompt", options->prompt, "text to continue");
  verb->add_option("-n,--tokens", generate.max_tokens, "most tokens to write")->check(CLI::Range(1, 1 << 30));
  verb->add_option("--temp,--temperature", generate.temperature, "0: always the most probable token");
  verb->add_option("--top-k", generate.top_k, "keep the k most probable tokens; 0: all");
  verb->add_option("--top-p", generate.top_p, "keep the shortest list of tokens whose mass exceeds p; 1: all");
  verb->add_option("--min-p", generate.min_p, "drop tokens below this fraction of the best one's probability");
  verb->add_option("--frequency-penalty", generate.frequency_penalty, "taken from a logit per recent occurrence");
  verb->add_option("--penalty-window", generate.penalty_window, "tokens back that count as recent")
      ->needs("--frequency-penalty");
  verb->add_option("--seed", generate.seed, "the same seed writes the same text");
  verb->add_option("--search", generate.search, "search-guided: weigh this many candidates; 0: sample");
  verb->add_option("--beta", generate.search_beta, "weight of the value head in the search")->needs("--search");
  verb->add_option("--depth", options->depth, "passes through the reasoning engine, of models that have one");
  verb->add_option("--precision", options->precision,
                   "of matrix products: auto (what is fastest here), f32, bf16 or int8");
  verb->add_flag("--json", options->json, "print JSON instead of streaming");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
