// flashlm scaling
#include "compare/scaling.h"

#include <charconv>
#include <memory>

#include "base/error.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/lists.h"
#include "cli/verbs.h"

namespace flashlm::cli {
namespace {

struct ScalingArguments {
  ScalingOptions scaling;
  std::string presets, tokens, steps_of, runs;
  int threads = 0;
  bool json = false;
};

std::vector<int64_t> BudgetsOf(const std::string& list) {
  std::vector<int64_t> budgets;
  for (const std::string& tokens : SplitAtCommas("--tokens", list, "as 500k,2M,6M"))
    budgets.push_back(static_cast<int64_t>(Budget::Tokens(tokens).amount));
  return budgets;
}

std::vector<int64_t> StepsOf(const std::string& list) {
  constexpr int64_t kMost = int64_t{1} << 30;
  std::vector<int64_t> all;
  for (const std::string& text : SplitAtCommas("--steps-of", list, "as 1024,2048")) {
    int64_t tokens = 0;
    const char* end = text.data() + text.size();
    const auto [at, code] = std::from_chars(text.data(), end, tokens);
    if (code != std::errc() || at != end || tokens < 1 || tokens > kMost) {
      throw UsageError(fmt::format("--steps-of {}: must be a whole number from 1 to {}", text, kMost), "as 1024,2048");
    }
    all.push_back(tokens);
  }
  return all;
}

void Run(const ScalingArguments& options) {
  InstallInterruptHandler();
  if (options.threads > 0) SetThreadCount(options.threads);
  RefuseStandardOutput("--out", options.scaling.out);
  ScalingOptions scaling = options.scaling;
  scaling.presets = SplitAtCommas("--presets", options.presets, "as flagship-2m,flagship-5m");
  scaling.tokens = BudgetsOf(options.tokens);
  scaling.steps_of = StepsOf(options.steps_of);
  scaling.runs = SplitAtCommas("--runs", options.runs, "as runs/a,runs/b");
  const ScalingSummary summary = Scale(scaling);
  if (!summary.finished || summary.failed > 0) SetExitCode(1);
  if (!summary.finished) return;
  if (options.json) {
    PrintJson(ToJson(summary.scaling));
  } else {
    Print(summary.markdown);
  }
}

}  // namespace

void AddScaling(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "scaling", "train sizes with several budgets, and fit the law by which train --preset FAMILY chooses a size");
  auto options = std::make_shared<ScalingArguments>();
  verb->add_option("--data", options->scaling.data, "folder made by: flashlm data prepare");
  verb->add_option("--out", options->scaling.out, "folder to make, or to go on with")->required();
  verb->add_option("--presets", options->presets,
                   "the sizes: names or .toml files, with commas between; of a family its sizes; flagship without it");
  verb->add_option("--tokens", options->tokens, "budgets of training tokens; 500k,2M,6M without it");
  verb->add_option("--steps-of", options->steps_of,
                   "tokens per step, of which the best counts; 1024,2048,4096 without it");
  verb->add_option(
      "--runs", options->runs,
      "run folders, with commas between, that join the fit: finished trainings on the same data, as long ones");
  verb->add_option("--seeds", options->scaling.seeds, "train each with so many seeds; 1 without it")
      ->check(CLI::Range(1, 1000));
  AddSettings(*verb, options->scaling.sets, "change a setting of every run, as train.word_dropout=0.1; repeatable");
  verb->add_option("--text", options->scaling.text,
                   "file to evaluate on, all of it; without it the test part of the data's validation documents");
  verb->add_option("--threads", options->threads, "compute threads; 0: all")->check(CLI::Range(0, 1024));
  verb->add_flag("--json", options->json, "print scaling.json instead of scaling.md");
  verb->callback([options] { Run(*options); });
}

}  // namespace flashlm::cli
