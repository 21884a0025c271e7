#include "train/trainer.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cluster/launch.h"
#include "data/shards.h"
#include "io/checkpoint.h"
#include "io/run_folder.h"
#include "kernels/gemm/precision.h"
#include "models/model.h"
#include "train/agreement.h"
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
  const int sequences = config.train.micro_batch, pieces = config.train.pieces;
  if (std::find(keys.begin(), keys.end(), "pieces") != keys.end() && sequences % pieces != 0) {
    throw UsageError(
        fmt::format("train.pieces = {}: a micro-batch of {} sequences has no so many equal parts", pieces, sequences),
        "choose a divisor of train.micro_batch");
  }
  config.train.objective.RefuseIdle(keys, MakeModel(config.model, false)->config());
}

namespace {

// A run of this process's folder; on ranks but the first, of none.
TrainSummary GoTogether(Ranks* ranks, const std::function<std::unique_ptr<Run>()>& make) {
  std::unique_ptr<Run> run;
  Together(ranks, [&] { run = make(); });
  return run->Go();
}

// Passes of a step that ranks cannot share, or what they do not tell each other, is refused before anything is written.
void RefuseUnshared(const Ranks* ranks, const Model& model, const RunConfig& config) {
  if (config.train.cluster.Local() && (!config.phases.empty() || model.Depth() >= 0)) {
    throw UsageError(
        "train.sync_every > 1 with phases, or with a reasoning engine: an outer step would change what is "
        "frozen, or remembered",
        "train.phases=0 leaves out the phases; train.sync_every=1 is for every model");
  }
  if (ranks == nullptr) return;
  RefuseIdleRanks(model, config.train, ranks->size());
  for (const Phase& phase : config.phases) {
    if (phase.source == "own" || (phase.writes() && config.train.amplification.share > 0)) {
      throw UsageError(fmt::format("{} ranks: a run that writes its own stories (phase '{}') is made by one process",
                                   ranks->size(), phase.name),
                       "leave them out with --set train.own_share=0, or start without mpirun");
    }
  }
}

// What a process that shares the run needs of `config` before it can be compared: choices of the machine, the data.
void ResolveTogether(Ranks* ranks, const std::string& data, RunConfig& config) {
  TrainConfig resolved = config.train;
  Together(ranks, [&] {
    if (ranks == nullptr || ranks->first()) ResolvePrecision(resolved);
  });
  if (ranks == nullptr) {
    config.train = resolved;
  } else {
    ShareChoices(*ranks, resolved, config.train);
  }
  Together(ranks, [&] {
    if (ranks != nullptr && !ranks->first()) ResolvePrecision(config.train);  // refuses what this CPU does not have
    const DataPlace place = DataIn(data);
    config.data = place.folder;
    config.data_fingerprint = place.fingerprint;
  });
  if (ranks != nullptr) RequireAgreement(*ranks, config);
}

}  // namespace

void RefuseRunIn(const std::string& folder) {
  if (!std::filesystem::exists(folder + "/config.toml") && !std::filesystem::exists(folder + "/checkpoints")) return;
  throw UsageError(fmt::format("'{}' already holds a run", folder),
                   fmt::format("go on with --resume {}, or choose another --out", folder));
}

TrainSummary Train(RunConfig config, const std::string& run_folder, RunHooks hooks) {
  Ranks* const ranks = CurrentRanks();
  const bool first = ranks == nullptr || ranks->first();
  bool measured = false;
  Together(ranks, [&] {
    if (first) RefuseRunIn(run_folder);
    RequireUtf8("--preset", config.preset);
    RequireUtf8("--recipe", config.recipe);
    RequireUtf8("--data", config.data);
    // A wrong configuration is refused before anything is written.
    const std::unique_ptr<Model> model = MakeModel(config.model, false);
    ResolveLanes(*model, config.train, ranks);
    RefuseUnshared(ranks, *model, config);
    const Phases phases(config.phases, config.train.objective, *model);
    const Growth growth(config.train);
    measured = config.train.precision == "auto" && config.train.products == "auto";
  });
  ResolveTogether(ranks, config.data, config);
  return GoTogether(ranks, [&] {
    FolderLock lock;
    if (first) {
      MakeFolder(run_folder);
      lock = FolderLock(run_folder);
    }
    auto run =
        std::make_unique<Run>(std::move(config), run_folder, std::move(lock), std::nullopt, std::move(hooks), ranks);
    if (measured) Say("precision: " + kernels::Explanation(kernels::Work::kTraining));
    return run;
  });
}

namespace {

namespace fs = std::filesystem;

constexpr char kEditedHint[] = "put it back; a change needs a run of its own, with another --out";

std::string ConfigPath(const std::string& run_folder) { return run_folder + "/config.toml"; }

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
  return {state.at("seconds").get<double>(), IntegerAt(state, "tokens"), IntegerAt(state, "step")};
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

// What a run goes on with, as the process that has its folder knows it.
struct Resumed {
  RunConfig config;
  FolderLock lock;
  std::optional<OpenedCheckpoint> checkpoint;  // none: it starts again from its seed
};

// The configuration of the checkpoint, which must be what config.toml says.
void TakeTrained(const std::string& run_folder, const OpenedCheckpoint& checkpoint, RunConfig& config) {
  RunConfig trained = RunConfig::FromJson(checkpoint.trainer_state.at("run"));
  // Of a version that did not keep it in the configuration.
  if (trained.train.precision == "auto") trained.train.precision = checkpoint.trainer_state.at("precision");
  if (config.train.precision == "auto") config.train.precision = trained.train.precision;
  for (TrainConfig* train : {&trained.train, &config.train}) {
    if (train->products == "auto") train->products = train->precision;
  }
  RefuseEditedConfig(run_folder, config, trained);
  if (!trained.data_fingerprint.empty()) config.data_fingerprint = trained.data_fingerprint;
}

std::string WhoseData(const std::string& run_folder) { return fmt::format("the run in '{}'", run_folder); }

Resumed OpenRun(const std::string& run_folder, const ResumeRequest& request) {
  if (!fs::exists(ConfigPath(run_folder))) {
    throw Error(fmt::format("'{}' holds no run to resume", run_folder), "start one with --preset, --data and --out");
  }
  Resumed resumed;
  resumed.lock = FolderLock(run_folder);
  // It has the last word on where the data is and what the budget is, which can change before there is a checkpoint
  // that knows.
  RunConfig& config = resumed.config = ReadRunConfig(run_folder);
  const Json before = config.ToJson();
  RefuseDisagreement(WithoutMachineChoices(request.expected), before, run_folder);
  const bool has_checkpoint = !ListStepFolders(run_folder).empty();
  if (has_checkpoint) {
    resumed.checkpoint = OpenForBudget(run_folder, config);
    TakeTrained(run_folder, *resumed.checkpoint, config);
  }
  const DataPlace data = FindData({config.data, config.data_fingerprint}, request.data, WhoseData(run_folder));
  config.data = data.folder;
  config.data_fingerprint = data.fingerprint;
  if (!has_checkpoint) {
    // A run without a checkpoint starts again from its seed, with whatever budget.
    if (request.budget) {
      config.budget = TotalBudget(config.CurrentBudget(), *request.budget);
      config.extensions.clear();
    }
    // Of a version that did not keep it.
    if (config.train.precision == "auto" || config.train.products == "auto") ResolvePrecision(config.train);
    return resumed;
  }
  const bool changed = request.budget && ChangeBudget(run_folder, *request.budget, *resumed.checkpoint, config);
  if (config.ToJson() != before) WriteConfig(run_folder, config);
  if (changed) resumed.checkpoint = OpenForBudget(run_folder, config);
  return resumed;
}

}  // namespace

RunConfig ReadRunConfig(const std::string& run_folder) {
  const std::string path = ConfigPath(run_folder);
  try {
    return RunConfig::FromJson(ParseToml(ReadFile(path), path));
  } catch (const UsageError& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), kEditedHint);
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), kEditedHint);
  }
}

TrainSummary Resume(const std::string& run_folder, const ResumeRequest& request, RunHooks hooks) {
  Ranks* const ranks = CurrentRanks();
  const bool first = ranks == nullptr || ranks->first();
  Resumed resumed;
  Together(ranks, [&] {
    if (first) resumed = OpenRun(run_folder, request);
  });
  if (ranks != nullptr) {
    // The other ranks have no run folder: what is in it comes from the first.
    const std::string text = ranks->Broadcast(first ? resumed.config.ToJson().dump() : "");
    ranks->Together([&] {
      if (!first) resumed.config = RunConfig::FromJson(ParseJson(text, "rank 0"));
      RunConfig& config = resumed.config;
      RefuseUnshared(ranks, *MakeModel(config.model, false), config);
      if (first) return;
      const DataPlace data = FindData({config.data, config.data_fingerprint}, request.data, WhoseData(run_folder));
      config.data = data.folder;
      config.data_fingerprint = data.fingerprint;
    });
    RequireAgreement(*ranks, resumed.config);
  }
  return GoTogether(ranks, [&] {
    return std::make_unique<Run>(std::move(resumed.config), run_folder, std::move(resumed.lock), resumed.checkpoint,
                                 std::move(hooks), ranks);
  });
}

}  // namespace flashlm
