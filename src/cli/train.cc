// flashlm train
#include <flashlm/error.h>
#include <flashlm/train.h>

#include <memory>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "cli/budget.h"
#include "cli/verbs.h"
#include "cluster/launch.h"
#include "models/extras.h"
#include "models/presets.h"
#include "models/registry.h"
#include "serve/dashboard.h"

namespace flashlm::cli {
namespace {

struct TrainArguments {
  api::TrainConfig train;
  BudgetWords budget;
  int threads = 0;
  std::optional<int> dashboard;
  bool json = false;
};

// api::Train with its errors as the engine has them: which of several ranks speaks is decided by those.
api::TrainResult TrainHere(const api::TrainConfig& config) {
  try {
    return api::Train(config);
  } catch (const api::Error& e) {
    if (e.kind() == api::Error::Kind::kUsage) throw UsageError(e.what(), e.hint());
    throw Error(e.what(), e.hint());
  }
}

void Run(const TrainArguments& options) {
  InstallInterruptHandler();
  if (options.threads > 0) SetThreadCount(options.threads);
  Membership membership;
  const bool first = CurrentRanks() == nullptr || CurrentRanks()->first();
  std::optional<DashboardServer> dashboard;
  if (options.dashboard && first) {
    const std::string& run = options.train.resume.empty() ? options.train.out : options.train.resume;
    dashboard.emplace(run, *options.dashboard);
    Say(fmt::format("dashboard: http://127.0.0.1:{}/", dashboard->port()));
  }
  api::TrainConfig config = options.train;
  config.time = options.budget.time;
  config.hours = options.budget.hours;
  config.tokens = options.budget.tokens;
  config.steps = options.budget.steps;
  api::TrainResult result;
  membership.Run([&] { result = TrainHere(config); });
  if (!result.finished) {
    SetExitCode(1);
  } else if (options.json && first) {
    Print(result.results + "\n");
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
  auto options = std::make_shared<TrainArguments>();
  verb->add_option("--preset", options->train.preset,
                   "name of a preset or a .toml file; without it flagship, whose size the budget chooses");
  verb->add_option("--recipe", options->train.recipe,
                   "name of a recipe or a .toml file, for the preset's own: its [optim] and [train] lines override\n"
                   "the preset's, and --set overrides both");
  verb->add_option("--data", options->train.data, "folder made by: flashlm data prepare");
  verb->add_option("--out", options->train.out, "run folder to make");
  verb->add_option(
      "--start", options->train.start,
      "start from this model's values and [model]: a run folder, checkpoint, model folder (as import makes)\n"
      "or packed file; --data must have its tokenizer (data prepare --tokenizer), --preset says how to train");
  verb->add_option("--resume", options->train.resume,
                   "run folder to go on with; a budget beside it is its new total, or +MORE, and --data\n"
                   "says where its data is now");
  AddBudget(*verb, options->budget, "10m", true);
  AddSettings(*verb, options->train.set, "change a setting, as train.checkpoint_every=100; repeatable");
  verb->add_option("--seed", options->train.seed, "of parameters, data order and dropout; 1 without it");
  verb->add_option("--threads", options->threads, "compute threads; 0: all")->check(CLI::Range(0, 1024));
  verb->add_flag("--tensorboard", options->train.tensorboard,
                 "write event files of TensorBoard into the run folder, too: all numbers of log.jsonl");
  verb->add_option("--dashboard", options->dashboard,
                   "show the run's curves, samples and progress to browsers of this machine at this port while it\n"
                   "trains; 0: any free port")
      ->check(CLI::Range(0, 65535));
  verb->add_flag("--json", options->json, "print results.json at the end");
  verb->footer([] { return Footer(); });
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
