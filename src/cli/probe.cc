// flashlm probe
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/progress.h"
#include "cli/verbs.h"
#include "data/shards.h"
#include "eval/by_depth.h"
#include "eval/probe_bigrams.h"
#include "eval/probe_report.h"
#include "infer/loaded_model.h"
#include "train/data_place.h"

namespace flashlm::cli {
namespace {

struct ProbeArguments {
  std::string model, data, split = "heldout", precision = "auto";
  ProbeOptions probes;
  std::optional<int> depth;
  bool by_depth = false;
  bool json = false;
};

// What the bigrams are counted in, and whether the model has read such text.
struct Training {
  std::string folder;  // of the training data; "": not to be had
  std::string why_not;
  double probes;      // their share of its tokens
  std::string start;  // the model that the run began with, whose own training is not counted; "": none
  NGramModel bigrams;
};

// By meta.json of a data set.
double ShareOfProbes(const Json& meta) {
  constexpr const char* kName = "probes";
  const Json mix = meta.value("mix", Json::object());
  const double mixed = mix.value("share_of_tokens", 0.0);
  return (meta.value("source", "") == kName ? 1 - mixed : 0) + (mix.value("source", "") == kName ? mixed : 0);
}

Training LookAtTraining(const LoadedModel& loaded, const ProbeArguments& options) {
  const Json run = loaded.trainer_state.is_object() ? loaded.trainer_state.value("run", Json()) : Json();
  const std::string start = run.is_object() ? run.value("start", "") : "";
  const DataPlace kept =
      run.is_object() ? DataPlace{run.value("data", ""), run.value("data_fingerprint", "")} : DataPlace{};
  try {
    if (kept.folder.empty() && options.data.empty()) throw Error("the model folder names no training data");
    const std::string folder = kept.folder.empty()
                                   ? options.data
                                   : FindData(kept, options.data, fmt::format("the run of '{}'", options.model)).folder;
    const TokenData data(folder, "train", Verify::kHeaders);
    data.ExpectTokenizer(loaded.tokenizer.Hash(), "the model");
    ShowStatus("counting bigrams");
    return {folder, "", ShareOfProbes(data.meta()), start, CountBigrams(data)};
  } catch (const Error& error) {
    if (!options.data.empty()) throw;
    return {"", error.what(), 0, start, CountBigramsOfProbes(loaded.tokenizer)};
  }
}

// One line about what the model has read.
std::string AboutTraining(const Training& training) {
  if (training.folder.empty()) {
    return fmt::format("trained on probe-like text: unknown ({}); bigrams counted in probes of the training split",
                       training.why_not);
  }
  const std::string begun =
      training.start.empty() ? "" : fmt::format(", what '{}' had read before not counted", training.start);
  const std::string bigrams = fmt::format("{}; bigrams counted in '{}'", begun, training.folder);
  if (training.probes == 0) return "trained on probe-like text: none of ours" + bigrams;
  return fmt::format("trained on probe-like text: {:.1f} % of its tokens, probes of the training split{}",
                     100 * training.probes, bigrams);
}

Json TrainingToJson(const Training& training) {
  const bool known = !training.folder.empty();
  return {{"data", known ? Json(training.folder) : Json()},
          {"share_of_probes", known ? Json(training.probes) : Json()},
          {"started_from", training.start.empty() ? Json() : Json(training.start)},
          {"bigrams_counted_in", known ? training.folder : "probes of the training split"},
          {"bigrams_tokens", training.bigrams.counted_tokens()}};
}

void Run(const ProbeArguments& options) {
  ProbeOptions probes = options.probes;
  probes.split = options.split == "train" ? ProbeSplit::kTrain : ProbeSplit::kHeldOut;
  LoadedModel loaded = LoadModel(options.model);
  const DType dtype = ScoringType(loaded, options.precision);
  const std::unique_ptr<Model> untrained = MakeModel(loaded.model->config(), /*for_training=*/false);
  untrained->bank().Initialize(~probes.seed);  // no run starts with such a seed
  if (options.by_depth && options.depth) {
    throw UsageError("--by-depth and --depth together", "by depth means at every one");
  }
  if (options.by_depth) RefuseByDepth(*loaded.model);
  if (options.depth) {
    loaded.model->SetDepth(*options.depth);
    untrained->SetDepth(*options.depth);
  }
  const Training training = LookAtTraining(loaded, options);
  const ProbeReaders readers{ScoreByModel(*loaded.model, dtype), ScoreByModel(*untrained, dtype),
                             ScoreByNGrams(training.bigrams)};
  const std::vector<ProbeCategoryResult> results = RunProbes(readers, loaded.tokenizer, probes);
  std::vector<DepthProbes> depths;
  if (options.by_depth) {
    depths = RunProbesByDepth(*loaded.model, *untrained, readers.bigrams, dtype, loaded.tokenizer, probes);
  }
  ShowStatus("");
  if (options.json) {
    Json json = {{"model", loaded.folder},
                 {"seed", probes.seed},
                 {"split", options.split},
                 {"depth", options.depth ? Json(*options.depth) : Json()},
                 {"precision", NameOf(dtype)}};
    const bool known = !training.folder.empty();
    json["trained_on_probes"] = known ? Json(training.probes > 0) : Json();
    json["training"] = TrainingToJson(training);
    json["categories"] = ProbesToJson(results);
    if (options.by_depth) json["by_depth"] = ToJson(std::span<const DepthProbes>(depths));
    return PrintJson(json);
  }
  Print(fmt::format("{} ({}, {} templates, seed {}{})\n", loaded.folder, NameOf(dtype),
                    options.split == "train" ? "training" : "held-out", probes.seed,
                    options.depth ? fmt::format(", depth {}", *options.depth) : ""));
  Print(AboutTraining(training) + "\n" + ProbesTable(results));
  if (options.by_depth) Print(Describe(std::span<const DepthProbes>(depths)));
}

}  // namespace

void AddProbe(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("probe", "whether a model follows what it reads: accuracy beside controls");
  auto options = std::make_shared<ProbeArguments>();
  verb->add_option("--model", options->model, "run folder, checkpoint, model folder or packed file")->required();
  verb->add_option("--items", options->probes.items, "of each category, at least")->check(CLI::Range(1, 1'000'000));
  verb->add_option("--seed", options->probes.seed, "another one gives other items")
      ->check(CLI::Range(uint64_t{0}, uint64_t{INT64_MAX}));
  verb->add_option("--split", options->split, "heldout, or train: the templates that data prepare --mix probes uses")
      ->check(CLI::IsMember({"heldout", "train"}));
  verb->add_option("--depth", options->depth, "passes through the reasoning engine, of models that have one");
  verb->add_flag("--by-depth", options->by_depth,
                 "also at depth 1, 3, 8 and each token's own choice: accuracy, time per token, tokens by depth");
  verb->add_option("--data", options->data, "the model's training data, if it is no longer where it was trained on");
  verb->add_option("--precision", options->precision,
                   "of matrix products: auto (the run's own, else what is fastest here), f32, bf16 or int8");
  verb->add_flag("--json", options->json, "print JSON");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
