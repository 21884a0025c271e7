// flashlm compare
#include "compare/compare.h"

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/budget.h"
#include "cli/lists.h"
#include "cli/verbs.h"
#include "models/presets.h"

namespace flashlm::cli {
namespace {

struct CompareArguments {
  CompareOptions compare;
  BudgetWords budget;
  std::string presets, recipes;
  int threads = 0;
  bool resume = false, json = false;
};

void Run(const CompareArguments& options) {
  InstallInterruptHandler();
  if (options.threads > 0) SetThreadCount(options.threads);
  RefuseStandardOutput("--out", options.compare.out);
  CompareOptions compare = options.compare;
  compare.budget = options.budget.Total();
  compare.presets = SplitAtCommas("--presets", options.presets, "as cortex-viii,v8.3");
  compare.recipes = SplitAtCommas("--recipes", options.recipes, "as modern,adamw");
  if (options.resume && !std::filesystem::exists(compare.out + "/settings.json")) {
    throw Error(fmt::format("'{}' holds no comparison to go on with", compare.out), "leave out --resume to start one");
  }
  const CompareSummary summary = Compare(compare);
  if (!summary.finished || summary.failed > 0) SetExitCode(1);
  if (!summary.finished) return;
  if (options.json) {
    PrintJson(ToJson(summary.comparison));
  } else {
    Print(summary.markdown);
  }
}

}  // namespace

void AddCompare(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("compare", "train presets, recipes and variants alike and make one table of them");
  auto options = std::make_shared<CompareArguments>();
  verb->add_option("--presets", options->presets, "names or .toml files, with commas between; all without it");
  verb->add_option("--recipes", options->recipes,
                   "each preset with each of these instead of its own: names or .toml files, with commas between");
  verb->add_option(
          "--variant", options->compare.variants,
          "each of those with these settings, as \"wide: model.d_model=320 model.d_ff=640\"; repeatable; \"as it\n"
          "is:\" changes nothing")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--data", options->compare.data, "folder made by: flashlm data prepare");
  verb->add_option("--text", options->compare.text,
                   "file to evaluate on, all of it; without it the test part of the data's validation documents");
  verb->add_option("--out", options->compare.out, "folder to make, or to go on with")->required();
  AddBudget(*verb, options->budget, "5m", false);
  AddSettings(*verb, options->compare.sets, "change a setting of every run, as train.micro_batch=4; repeatable");
  verb->add_option("--seed", options->compare.seed, "of parameters, data order and dropout; 1 without it")
      ->check(CLI::Range(uint64_t{0}, uint64_t{INT64_MAX} / 2));
  verb->add_option("--seeds", options->compare.seeds,
                   "train with so many seeds, SEED, SEED + 1, ...: what differs by chance, and a verdict; 1 without it")
      ->check(CLI::Range(1, 1000));
  verb->add_option("--threads", options->threads, "compute threads; 0: all")->check(CLI::Range(0, 1024));
  verb->add_flag("--resume", options->resume, "go on with --out; so does the same command again");
  verb->add_flag("--json", options->json, "print comparison.json instead of the table");
  verb->footer([] { return PresetsHelp(); });
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
