// A training run in a folder: data in, log lines, samples, evaluations and checkpoints on the way, results at the end;
// interrupted and resumed exactly.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/extension.h"
#include "train/run_result.h"

namespace flashlm {

struct TrainSummary {
  bool finished = false;  // false: interrupted; the run can be resumed
  int64_t step = 0, tokens = 0;
  RunResult results;  // results.json, when finished
};

// What a program that embeds a run wants of it beside its files; none of it changes what is trained.
struct RunHooks {
  // Gets every line of log.jsonl as it is written, and how much of the budget is done. May be empty.
  std::function<void(const Json& line, double fraction)> on_line;
  // Asked before every step: true ends the run as Ctrl-C does, with everything saved. May be empty.
  std::function<bool()> stop_requested;
  bool tensorboard = false;  // event files, too (train/event_file.h)
};

// Sets model.vocab to that of the tokens in config.data, for small texts yield fewer than a preset's; unless one of the
// assignments `sets` (section.key=value) names it.
void TakeVocabularyOfData(std::span<const std::string> sets, RunConfig& config);

// Throws UsageError if one of `assignments` ("train.KEY=VALUE"; others are passed over) would change nothing of the
// configuration's model.
void RefuseIdleSettings(const RunConfig& config, const std::vector<std::string>& assignments);

// Throws UsageError if the folder holds a run.
void RefuseRunIn(const std::string& folder);

// Starts a run in `run_folder`, which must not hold one yet. Throws UsageError or Error before any work if the
// configuration, the data or the folder is not right.
TrainSummary Train(RunConfig config, const std::string& run_folder, RunHooks hooks = {});

// What config.toml of a run says. Throws Error if that is not what a run was trained with.
RunConfig ReadRunConfig(const std::string& run_folder);

struct ResumeRequest {
  Json expected;                       // settings that the caller named again (keys of RunConfig::ToJson) must agree
  std::string data;                    // where the run's data is now; "": where it was
  std::optional<BudgetChange> budget;  // another budget
};

// Goes on from the newest sound checkpoint, with another budget from where train/extension.h says.
TrainSummary Resume(const std::string& run_folder, const ResumeRequest& request, RunHooks hooks = {});

// Throws UsageError for the first key in which `expected` (where it is not null) differs from what the run in `folder`
// has.
void RefuseDisagreement(const Json& expected, const Json& actual, const std::string& folder);

}  // namespace flashlm
