// flashlm train
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/budget.h"
#include "cli/verbs.h"
#include "models/extras.h"
#include "models/presets.h"
#include "models/registry.h"
#include "serve/dashboard.h"
#include "train/family.h"
#include "train/trainer.h"

namespace flashlm::cli {
namespace {

struct Options {
  std::string preset, recipe, data, out, resume;
  BudgetOptions budget;
  std::vector<std::string> sets;
  std::optional<uint64_t> seed;
  int threads = 0;
  std::optional<int> dashboard;
  bool json = false;
};

RunConfig ConfigOf(const Options& options) {
  std::string preset = options.preset.empty() ? "flagship" : options.preset;
  Json document = LoadPreset(preset, options.recipe);
  const Budget budget = options.budget.Get().value_or(Budget::Time("10m"));
  if (IsFamily(document)) {
    const SizeChoice choice = ChooseSize(document, preset, {budget, options.recipe, options.data, options.sets});
    Say("size: " + choice.why);
    preset = choice.preset;
    document = LoadPreset(preset, options.recipe);
    for (const std::string& assignment : choice.sets) ApplyOverride(assignment, document);
  }
  for (const std::string& assignment : options.sets) ApplyOverride(assignment, document);
  RunConfig config = RunConfig::FromDocument(document, preset);
  config.data = options.data;
  TakeVocabularyOfData(options.sets, config);
  config.seed = options.seed.value_or(1);
  config.budget = budget;
  RefuseIdleSettings(config, options.sets);
  return config;
}

// What the user named again beside --resume, in the form of RunConfig::ToJson; Resume refuses what differs.
Json Expected(const Options& options) {
  Json expected = Json::object();
  if (!options.preset.empty()) {
    // First what matters most: a checkpoint of one architecture is of no use to another.
    const Json document = LoadPreset(options.preset);
    if (!IsFamily(document)) {
      expected["model"]["architecture"] = document.at("model").value("architecture", Json());
      expected["preset"] = options.preset;
    }
  }
  if (!options.recipe.empty()) expected["recipe"] = options.recipe;
  if (options.seed) expected["seed"] = *options.seed;
  for (const std::string& assignment : options.sets) ApplyOverride(assignment, expected);
  return expected;
}

void Run(const Options& options) {
  InstallInterruptHandler();
  if (options.threads > 0) SetThreadCount(options.threads);
  const std::optional<BudgetChange> budget = options.budget.GetChange();
  std::optional<DashboardServer> dashboard;
  if (options.dashboard) {
    const std::string& run = options.resume.empty() ? options.out : options.resume;
    dashboard.emplace(run, *options.dashboard);
    Say(fmt::format("dashboard: http://127.0.0.1:{}/", dashboard->port()));
  }
  TrainSummary summary;
  if (!options.resume.empty()) {
    if (!options.out.empty()) throw UsageError("--out and --resume together", "--resume RUN goes on in RUN");
    summary = Resume(options.resume, {Expected(options), options.data, budget});
  } else {
    if (options.data.empty() || options.out.empty()) {
      throw UsageError("train needs --data DIR and --out RUN, or --resume RUN",
                       "make the data with: flashlm data prepare --input synthetic --out DIR");
    }
    RefuseStandardOutput("--out", options.out);
    summary = Train(ConfigOf(options), options.out);
  }
  if (!summary.finished) {
    SetExitCode(1);
  } else if (options.json) {
    PrintJson(ToJson(summary.results));
  }
}

std::string Footer() {
  std::string text = PresetsHelp();
  text += "\n[train] (--set train.KEY=VALUE)\n" + FieldsHelp<TrainConfig>();
  text += "\n[optim] (--set optim.KEY=VALUE)\n" + FieldsHelp<OptimConfig>();
  text += "\n[model] of any architecture (--set model.KEY=VALUE)\n" + FieldsHelp<ModelExtras>();
  text += "\n[model] of any architecture, n-gram tables (at the input: cortex-viii, flagship, gpt)\n" +
          FieldsHelp<NgramTablesConfig>();
  for (const ModelEntry& entry : RegisteredModels()) {
    text += fmt::format("\n[model] of {} (--set model.KEY=VALUE)\n{}", entry.name, entry.help());
  }
  return text;
}

}  // namespace

void AddTrain(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("train", "train a model, or go on with --resume");
  auto options = std::make_shared<Options>();
  verb->add_option("--preset", options->preset,
                   "name of a preset or a .toml file; without it flagship, whose size the budget chooses");
  verb->add_option("--recipe", options->recipe,
                   "name of a recipe or a .toml file, for the preset's own: its [optim] and [train] lines override\n"
                   "the preset's, and --set overrides both");
  verb->add_option("--data", options->data, "folder made by: flashlm data prepare");
  verb->add_option("--out", options->out, "run folder to make");
  verb->add_option("--resume", options->resume,
                   "run folder to go on with; a budget beside it is its new total, or +MORE, and --data\n"
                   "says where its data is now");
  options->budget.AddTo(*verb, "10m", true);
  verb->add_option("--set", options->sets, "change a setting, as train.checkpoint_every=100; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--seed", options->seed, "of parameters, data order and dropout; 1 without it");
  verb->add_option("--threads", options->threads, "compute threads; 0: all")->check(CLI::Range(0, 1024));
  verb->add_option("--dashboard", options->dashboard,
                   "show the run's curves, samples and progress to browsers of this machine at this port while it\n"
                   "trains; 0: any free port")
      ->check(CLI::Range(0, 65535));
  verb->add_flag("--json", options->json, "print results.json at the end");
  verb->footer([] { return Footer(); });
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
