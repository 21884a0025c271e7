#include "train/trainer.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"
#include "data/shards.h"
#include "io/checkpoint.h"
#include "io/run_folder.h"
#include "kernels/gemm/precision.h"
#include "models/model.h"
#include "train/data_place.h"
#include "train/run.h"
#include "train/run_machine.h"

namespace flashlm {
namespace {

void RefuseDisagreementBelow(const std::string& path, const Json& expected, const Json& actual,
                             const std::string& folder) {
  if (expected.is_null()) return;
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      RefuseDisagreementBelow(path.empty() ? key : fmt::format("{}.{}", path, key), value,
                              actual.contains(key) ? actual[key] : Json(), folder);
    }
    return;
  }
  const bool equal_numbers =
      expected.is_number() && actual.is_number() && expected.get<double>() == actual.get<double>();
  if (expected != actual && !equal_numbers) {
    throw UsageError(fmt::format("{} = {} does not agree with the run in '{}', which has {}", path, expected.dump(),
                                 folder, actual.dump()),
                     "leave it out to go on as the run was, or start another run with another --out");
  }
}

}  // namespace

void RefuseDisagreement(const Json& expected, const Json& actual, const std::string& folder) {
  RefuseDisagreementBelow("", expected, actual, folder);
}

void TakeVocabularyOfData(std::span<const std::string> sets, RunConfig& config) {
  const auto names_it = [](const std::string& set) { return set.starts_with("model.vocab="); };
  if (std::any_of(sets.begin(), sets.end(), names_it)) return;
  const Json meta = ReadDataMeta(config.data);
  const Json::json_pointer path("/tokenizer/vocab_size");
  if (meta.contains(path)) config.model["vocab"] = meta[path];  // else opening the data says what it lacks
}

void RefuseIdleSettings(const RunConfig& config, const std::vector<std::string>& assignments) {
  constexpr std::string_view kSection = "train.";
  std::vector<std::string> keys;
  for (const std::string& assignment : assignments) {
    if (!assignment.starts_with(kSection)) continue;
    keys.push_back(assignment.substr(kSection.size(), assignment.find('=') - kSection.size()));
  }
  if (keys.empty()) return;
  config.train.objective.RefuseIdle(keys, MakeModel(config.model, false)->config());
}

TrainSummary Train(RunConfig config, const std::string& run_folder, RunHooks hooks) {
  if (std::filesystem::exists(run_folder + "/config.toml") || std::filesystem::exists(run_folder + "/checkpoints")) {
    throw UsageError(fmt::format("'{}' already holds a run", run_folder),
                     fmt::format("go on with --resume {}, or choose another --out", run_folder));
  }
  RequireUtf8("--preset", config.preset);
  RequireUtf8("--recipe", config.recipe);
  RequireUtf8("--data", config.data);
  // A wrong configuration is refused before anything is written.
  const std::unique_ptr<Model> model = MakeModel(config.model, false);
  ResolveLanes(*model, config.train);
  const Phases phases(config.phases, config.train.objective, *model);
  const Growth growth(config.train);
  const bool measured = config.train.precision == "auto" && config.train.products == "auto";
  ResolvePrecision(config.train);
  const DataPlace data = DataIn(config.data);
  config.data = data.folder;
  config.data_fingerprint = data.fingerprint;
  MakeFolder(run_folder);
  Run run(std::move(config), run_folder, FolderLock(run_folder), std::nullopt, std::move(hooks));
  if (measured) Say("precision: " + kernels::Explanation(kernels::Work::kTraining));
  return run.Go();
}

namespace {

namespace fs = std::filesystem;

constexpr char kEditedHint[] = "put it back; a change needs a run of its own, with another --out";

std::string ConfigPath(const std::string& run_folder) { return run_folder + "/config.toml"; }

// What config.toml says. It has the last word on where the data is and what the budget is, which can change before
// there is a checkpoint that knows.
RunConfig ReadConfig(const std::string& run_folder) {
  const std::string path = ConfigPath(run_folder);
  try {
    return RunConfig::FromJson(ParseToml(ReadFile(path), path));
  } catch (const UsageError& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), kEditedHint);
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), kEditedHint);
  }
}

// An edit of anything else would be ignored silently; it is refused.
void RefuseEditedConfig(const std::string& run_folder, const RunConfig& config, RunConfig checkpoint) {
  const auto known = static_cast<std::ptrdiff_t>(checkpoint.extensions.size());
  if (std::ssize(config.extensions) >= known) {
    checkpoint.extensions.insert(checkpoint.extensions.end(), config.extensions.begin() + known,
                                 config.extensions.end());
  }
  checkpoint.data = config.data;
  if (checkpoint.data_fingerprint.empty()) checkpoint.data_fingerprint = config.data_fingerprint;
  try {
    RefuseDisagreement(config.ToJson(), checkpoint.ToJson(), "checkpoints");
  } catch (const UsageError& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", ConfigPath(run_folder), e.what()),
                kEditedHint);
  }
}

Position PositionOf(const OpenedCheckpoint& checkpoint) {
  const Json& state = checkpoint.trainer_state;
  return {state.at("seconds").get<double>(), state.at("tokens").get<int64_t>(), state.at("step").get<int64_t>()};
}

size_t ExtensionsOf(const OpenedCheckpoint& checkpoint) {
  return RunConfig::FromJson(checkpoint.trainer_state.at("run")).extensions.size();
}

// The checkpoint from before the rate fell, if it is there and sound.
std::optional<OpenedCheckpoint> OpenBeforeDecay(const std::string& run_folder) {
  const std::string folder = LinkedFolder(run_folder, RunLink::kBeforeDecay);
  if (folder.empty()) return std::nullopt;
  try {
    return OpenCheckpoint(folder, OpenFor::kResume);
  } catch (const Error& e) {
    Say(fmt::format("unusable checkpoint: {}", e.what()));
    return std::nullopt;
  }
}

// Makes the checkpoint of `step` the newest one: what an earlier budget made of it later is set aside. Does again only
// what a crash has left undone.
void GoBackTo(const std::string& run_folder, int64_t step, size_t extensions) {
  for (const StepFolder& folder : ListStepFolders(run_folder)) {
    if (folder.step <= step) break;
    try {
      if (ExtensionsOf(OpenCheckpoint(folder.path, OpenFor::kInference)) >= extensions) continue;
    } catch (const Error&) {
      continue;  // damaged: whoever opens the newest one says so
    }
    const std::string origin = StepFolderPath(run_folder, step);
    if (fs::exists(origin)) PointLink(run_folder, RunLink::kLatest, origin);
    SupersedeFolder(run_folder, folder.path);
  }
}

// Results of an earlier budget are kept beside those to come.
void SetResultsAside(const std::string& run_folder) {
  const std::string path = run_folder + "/results.json";
  if (!fs::exists(path)) return;
  const int64_t steps = RunResultFromJson(ReadJsonFile(path), path).steps;
  std::error_code code;
  fs::rename(path, fmt::format("{}/results_{:06d}.json", run_folder, steps), code);
  if (code) throw Error(fmt::format("cannot rename '{}': {}", path, code.message()));
}

void WriteConfig(const std::string& run_folder, const RunConfig& config) {
  WriteFileAtomic(ConfigPath(run_folder), ToToml(config.ToJson()));
}

// The newest checkpoint of the budget in force, or the one that it goes on from.
OpenedCheckpoint OpenForBudget(const std::string& run_folder, const RunConfig& config) {
  if (!config.extensions.empty()) GoBackTo(run_folder, config.Schedule().from_step, config.extensions.size());
  OpenedCheckpoint checkpoint = OpenCheckpoint(run_folder, OpenFor::kResume);
  if (ExtensionsOf(checkpoint) < config.extensions.size()) SetResultsAside(run_folder);
  return checkpoint;
}

// Gives the run another budget; false if it has that already.
bool ChangeBudget(const std::string& run_folder, const BudgetChange& change, const OpenedCheckpoint& checkpoint,
                  RunConfig& config) {
  const Budget total = TotalBudget(config.CurrentBudget(), change);
  if (total.kind == config.CurrentBudget().kind && total.amount == config.CurrentBudget().amount) return false;
  const Position now = PositionOf(checkpoint);
  const std::optional<OpenedCheckpoint> earlier = OpenBeforeDecay(run_folder);
  const Extension extension = Extend(config, total, now, earlier ? std::optional(PositionOf(*earlier)) : std::nullopt);
  Say(Describe(config, extension, now));
  config.extensions.push_back(extension);
  return true;
}

// A run without a checkpoint starts again from its seed, with whatever budget.
TrainSummary StartAgain(const std::string& run_folder, const ResumeRequest& request, RunConfig config, FolderLock lock,
                        RunHooks hooks) {
  if (request.budget) {
    config.budget = TotalBudget(config.CurrentBudget(), *request.budget);
    config.extensions.clear();
  }
  // Of a version that did not keep it.
  if (config.train.precision == "auto" || config.train.products == "auto") ResolvePrecision(config.train);
  return Run(std::move(config), run_folder, std::move(lock), std::nullopt, std::move(hooks)).Go();
}

}  // namespace

TrainSummary Resume(const std::string& run_folder, const ResumeRequest& request, RunHooks hooks) {
  if (!fs::exists(ConfigPath(run_folder))) {
    throw Error(fmt::format("'{}' holds no run to resume", run_folder), "start one with --preset, --data and --out");
  }
  FolderLock lock(run_folder);
  RunConfig config = ReadConfig(run_folder);
  const Json before = config.ToJson();
  RefuseDisagreement(WithoutMachineChoices(request.expected), before, run_folder);
  const bool has_checkpoint = !ListStepFolders(run_folder).empty();
  std::optional<OpenedCheckpoint> checkpoint;
  if (has_checkpoint) {
    checkpoint = OpenForBudget(run_folder, config);
    RunConfig trained = RunConfig::FromJson(checkpoint->trainer_state.at("run"));
    // Of a version that did not keep it in the configuration.
    if (trained.train.precision == "auto") trained.train.precision = checkpoint->trainer_state.at("precision");
    if (config.train.precision == "auto") config.train.precision = trained.train.precision;
    for (TrainConfig* train : {&trained.train, &config.train}) {
      if (train->products == "auto") train->products = train->precision;
    }
    RefuseEditedConfig(run_folder, config, trained);
    if (!trained.data_fingerprint.empty()) config.data_fingerprint = trained.data_fingerprint;
  }
  const DataPlace data =
      FindData({config.data, config.data_fingerprint}, request.data, fmt::format("the run in '{}'", run_folder));
  config.data = data.folder;
  config.data_fingerprint = data.fingerprint;
  if (!has_checkpoint) return StartAgain(run_folder, request, std::move(config), std::move(lock), std::move(hooks));
  const bool changed = request.budget && ChangeBudget(run_folder, *request.budget, *checkpoint, config);
  if (config.ToJson() != before) WriteConfig(run_folder, config);
  if (changed) checkpoint = OpenForBudget(run_folder, config);
  return Run(std::move(config), run_folder, std::move(lock), checkpoint, std::move(hooks)).Go();
}

}  // namespace flashlm
