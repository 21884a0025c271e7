#include "train/trainer.h"

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"
#include "data/shards.h"
#include "io/checkpoint.h"
#include "io/run_folder.h"
#include "kernels/gemm/precision.h"
#include "models/model.h"
#include "train/run.h"
#include "train/run_precision.h"

namespace flashlm {
namespace {

void RefuseDisagreementBelow(const std::string& path, const Json& expected, const Json& actual,
                             const std::string& folder) {
  if (expected.is_null()) return;
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      RefuseDisagreementBelow(path.empty() ? key : path + "." + key, value, actual.contains(key) ? actual[key] : Json(),
                              folder);
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

void TakeVocabularyOfData(RunConfig& config) {
  const Json meta = ReadDataMeta(config.data);
  const Json::json_pointer path("/tokenizer/vocab_size");
  if (meta.contains(path)) config.model["vocab"] = meta[path];  // else opening the data says what it lacks
}

TrainSummary Train(RunConfig config, const std::string& run_folder) {
  if (std::filesystem::exists(run_folder + "/config.toml") || std::filesystem::exists(run_folder + "/checkpoints")) {
    throw UsageError(fmt::format("'{}' already holds a run", run_folder),
                     fmt::format("go on with --resume {}, or choose another --out", run_folder));
  }
  RequireUtf8("--data", config.data);
  MakeModel(config.model, false);  // a wrong configuration is refused before anything is written
  const bool measured = config.train.precision == "auto";
  ResolvePrecision(config);
  MakeFolder(run_folder);
  Run run(std::move(config), run_folder, std::nullopt);
  if (measured) Say("precision: " + kernels::Explanation(kernels::Work::kTraining));
  return run.Go();
}

namespace {

// config.toml is for people to read; an edit that would be ignored silently is refused.
void RefuseEditedConfig(const std::string& path, const RunConfig& config) {
  const char* hint = "put it back; a change needs a run of its own, with another --out";
  try {
    const Json edited = RunConfig::FromJson(ParseToml(ReadFile(path), path)).ToJson();
    RefuseDisagreement(WithoutAutoPrecision(edited), config.ToJson(), "checkpoints");
  } catch (const UsageError& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), hint);
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' is not what the run was trained with: {}", path, e.what()), hint);
  }
}

}  // namespace

TrainSummary Resume(const std::string& run_folder, const Json& expected) {
  const std::string config_path = run_folder + "/config.toml";
  if (!std::filesystem::exists(config_path)) {
    throw Error(fmt::format("'{}' holds no run to resume", run_folder), "start one with --preset, --data and --out");
  }
  if (ListStepFolders(run_folder).empty()) {
    // Stopped before its first checkpoint: it starts again, from the same seed.
    RunConfig config = RunConfig::FromJson(ParseToml(ReadFile(config_path), config_path));
    RefuseDisagreement(WithoutAutoPrecision(expected), config.ToJson(), run_folder);
    if (config.train.precision == "auto") ResolvePrecision(config);  // of a version that did not keep it
    return Run(std::move(config), run_folder, std::nullopt).Go();
  }
  const OpenedCheckpoint checkpoint = OpenCheckpoint(run_folder, OpenFor::kResume);
  RunConfig config = RunConfig::FromJson(checkpoint.trainer_state.at("run"));
  if (config.train.precision == "auto") config.train.precision = checkpoint.trainer_state.at("precision");
  RefuseDisagreement(WithoutAutoPrecision(expected), config.ToJson(), run_folder);
  RefuseEditedConfig(config_path, config);
  return Run(std::move(config), run_folder, checkpoint).Go();
}

}  // namespace flashlm
