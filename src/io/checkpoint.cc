#include "io/checkpoint.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "base/paths.h"
#include "base/progress.h"
#include "io/bank_files.h"
#include "io/model_folder.h"
#include "io/run_folder.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr char kOptimizerFile[] = "optimizer.safetensors";
constexpr char kAverageFile[] = "average.safetensors";
constexpr char kOuterFile[] = "outer.safetensors";
constexpr char kTrainerFile[] = "trainer.json";
constexpr char kFormat[] = "flashlm-checkpoint";
constexpr int kVersion = 1;
constexpr char kChecksum[] = "sha256";  // of trainer.json itself: its compact text without this field

// ---- Writing ----

void LinkOrCopy(const std::string& from, const std::string& to) {
  std::error_code code;
  fs::create_hard_link(from, to, code);
  if (!code) return;
  code.clear();
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, code);
  if (code) throw Error(fmt::format("cannot copy '{}' to '{}': {}", from, to, code.message()));
  SyncPath(to);
}

// trainer.json comes last: a folder that has it is complete.
void WriteCheckpointFolder(const std::string& folder, int64_t step, const CheckpointContent& content) {
  WriteModelFolder(folder, content.config, content.bank, content.tokenizer_json);
  SaveState(FileIn(folder, kOptimizerFile), content.bank, content.state);
  std::vector<std::string> names = {kConfigFile, kModelFile, kTokenizerFile, kOptimizerFile};
  if (content.average != nullptr) {
    SaveState(FileIn(folder, kAverageFile), content.bank, *content.average);
    names.emplace_back(kAverageFile);
  }
  if (content.outer != nullptr) {
    SaveState(FileIn(folder, kOuterFile), content.bank, *content.outer);
    names.emplace_back(kOuterFile);
  }
  if (!content.constant_file.empty()) {
    names.push_back(fs::path(content.constant_file).filename().string());
    LinkOrCopy(content.constant_file, FileIn(folder, names.back()));
  }
  Json files = Json::object();
  for (const std::string& name : names) {
    const MappedFile file(FileIn(folder, name));
    files[name] = {{"bytes", file.size()}, {"sha256", Sha256(file.text())}};
  }
  Json trainer = {{"format", kFormat}, {"version", kVersion}, {"step", step}};
  trainer["files"] = std::move(files);
  trainer["trainer"] = content.trainer_state;
  trainer[kChecksum] = Sha256(trainer.dump());
  WriteFileAtomic(FileIn(folder, kTrainerFile), trainer.dump(2) + "\n");
}

[[noreturn]] void FailToPublish(const std::string& run_folder, int64_t step, const std::exception& cause) {
  const auto* error = dynamic_cast<const Error*>(&cause);
  std::string hint = error != nullptr ? error->hint() : "";
  const std::string latest = LinkedFolder(run_folder, RunLink::kLatest);
  if (!latest.empty()) {
    hint +=
        fmt::format("{}the checkpoint {} is intact", hint.empty() ? "" : "; ", fs::path(latest).filename().string());
  }
  throw Error(fmt::format("cannot publish the checkpoint of step {}: {}", step, cause.what()), hint);
}

// ---- Reading ----

struct FileRecord {
  uint64_t bytes = 0;
  std::string sha256;
};

struct TrainerFile {
  int64_t step = -1;
  std::map<std::string, FileRecord> files;
  Json state;
};

TrainerFile ReadTrainerFile(const std::string& path) {
  Json json = ReadJsonFile(path);
  if (!json.is_object() || json.value("format", Json()) != kFormat) {
    throw Error(fmt::format("'{}' does not describe a checkpoint of FlashLM", path));
  }
  if (json.value("version", Json()) != kVersion) {
    throw Error(fmt::format("'{}' has format version {}, this program reads {}", path,
                            json.value("version", Json()).dump(), kVersion),
                "use the program that wrote it");
  }
  const Json recorded = json.value(kChecksum, Json());
  json.erase(kChecksum);
  if (recorded != Sha256(json.dump())) {
    throw Error(fmt::format("'{}' is damaged: its SHA-256 is not the recorded one", path));
  }
  try {
    std::map<std::string, FileRecord> files;
    for (const auto& [name, record] : json.at("files").items()) {
      files[name] = {static_cast<uint64_t>(IntegerAt(record, "bytes")), record.at("sha256").get<std::string>()};
    }
    return {IntegerAt(json, "step"), std::move(files), json.at("trainer")};
  } catch (const Json::exception& e) {
    throw Error(fmt::format("'{}' does not describe a checkpoint of FlashLM: {}", path, e.what()));
  }
}

void VerifyFile(const std::string& folder, const std::string& name, const TrainerFile& trainer) {
  const MappedFile file(FileIn(folder, name));
  const auto record = trainer.files.find(name);
  if (record == trainer.files.end()) {
    throw Error(fmt::format("'{}' is not among the files of its checkpoint", file.path()));
  }
  const uint64_t expected = record->second.bytes;
  if (file.size() != expected) {
    throw Error(fmt::format("'{}' is {}: it has {} bytes instead of {}", file.path(),
                            file.size() < expected ? "truncated" : "damaged", file.size(), expected));
  }
  if (Sha256(file.text()) != record->second.sha256) {
    throw Error(fmt::format("'{}' is damaged: its SHA-256 is not the recorded one", file.path()));
  }
}

// A checkpoint or plain model folder, verified.
OpenedCheckpoint OpenFolder(const std::string& folder, OpenFor purpose) {
  if (!IsFolder(folder)) throw Error(fmt::format("the folder '{}' is missing", folder));
  OpenedCheckpoint opened;
  opened.folder = folder;
  opened.model_path = FileIn(folder, kModelFile);
  opened.tokenizer_path = FileIn(folder, kTokenizerFile);
  const std::string trainer_path = FileIn(folder, kTrainerFile);
  if (Exists(trainer_path)) {
    TrainerFile trainer = ReadTrainerFile(trainer_path);
    for (const char* name : {kConfigFile, kModelFile, kTokenizerFile}) VerifyFile(folder, name, trainer);
    if (trainer.files.contains(kNGramFile)) VerifyFile(folder, kNGramFile, trainer);
    // Verified only when it is needed: a damaged optimizer does not keep a model from being used.
    const bool averaged = trainer.files.contains(kAverageFile), outer = trainer.files.contains(kOuterFile);
    if (purpose == OpenFor::kResume) {
      VerifyFile(folder, kOptimizerFile, trainer);
      if (averaged) VerifyFile(folder, kAverageFile, trainer);
      if (outer) VerifyFile(folder, kOuterFile, trainer);
    }
    opened.optimizer_path = FileIn(folder, kOptimizerFile);
    if (averaged) opened.average_path = FileIn(folder, kAverageFile);
    if (outer) opened.outer_path = FileIn(folder, kOuterFile);
    opened.step = trainer.step;
    opened.trainer_state = std::move(trainer.state);
  } else if (purpose == OpenFor::kResume) {
    throw Error(fmt::format("'{}' has no {}, so training cannot go on from it", folder, kTrainerFile),
                "give a run folder or a complete checkpoint");
  }
  opened.config = ReadModelFolder(folder);
  return opened;
}

bool IsSound(const std::string& folder) {
  try {
    OpenFolder(folder, OpenFor::kResume);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// What to try, in order, each once.
std::vector<std::string> Candidates(const std::string& run_folder, OpenFor purpose) {
  std::vector<std::string> folders;
  if (purpose == OpenFor::kBestModel) folders.push_back(LinkedFolder(run_folder, RunLink::kBest));
  folders.push_back(LinkedFolder(run_folder, RunLink::kLatest));
  for (const StepFolder& folder : ListStepFolders(run_folder)) folders.push_back(folder.path);
  std::vector<std::string> once;
  for (const std::string& folder : folders) {
    if (!folder.empty() && std::find(once.begin(), once.end(), folder) == once.end()) once.push_back(folder);
  }
  return once;
}

OpenedCheckpoint OpenRun(const std::string& run_folder, OpenFor purpose) {
  const std::vector<std::string> candidates = Candidates(run_folder, purpose);
  if (candidates.empty()) {
    throw Error(fmt::format("the run '{}' has no checkpoint yet", run_folder), "let it train until the first one");
  }
  std::vector<std::string> problems;
  for (const std::string& folder : candidates) {
    try {
      OpenedCheckpoint opened = OpenFolder(folder, purpose);
      for (const std::string& problem : problems) Say(fmt::format("unusable checkpoint: {}", problem));
      if (!problems.empty()) Say(fmt::format("using the checkpoint '{}' instead", folder));
      return opened;
    } catch (const Error& e) {
      problems.push_back(e.what());
    }
  }
  throw Error(fmt::format("no checkpoint of the run '{}' is usable: {}", run_folder, fmt::join(problems, "; ")),
              "restore the run from a copy, or train it anew");
}

// ---- Retention ----

// Counts only steps up to the one just published. Later ones exist when training went on from an earlier
// checkpoint because they are damaged; counted as newest they would push out the sound ones.
void RemoveOldCheckpoints(const std::string& run_folder, int64_t published, int keep) {
  // By name: there are several ways to write the path of one folder.
  const fs::path best = fs::path(LinkedFolder(run_folder, RunLink::kBest)).filename();
  const fs::path before_decay = fs::path(LinkedFolder(run_folder, RunLink::kBeforeDecay)).filename();
  int kept = 0;
  for (const StepFolder& folder : ListStepFolders(run_folder)) {
    const bool keeps = folder.step > published ? IsSound(folder.path) : kept++ < keep;
    const fs::path name = fs::path(folder.path).filename();
    if (!keeps && name != best && name != before_decay) RemoveFolder(folder.path);
  }
}

}  // namespace

std::string PublishCheckpoint(const std::string& run_folder, int64_t step, const CheckpointContent& content,
                              CheckpointMarks marks, int keep) {
  FLASHLM_CHECK(step >= 0 && keep >= 1, "checkpoint of step {}, keeping {}", step, keep);
  std::string final = StepFolderPath(run_folder, step);
  const std::string temporary = final + ".tmp";
  try {
    MakeFolder(fs::path(final).parent_path().string());
    CleanLeftovers(run_folder);
    WriteCheckpointFolder(temporary, step, content);
    SyncPath(temporary);
    PublishFolder(temporary, final);
    // `latest` last: a crash in between resumes before this step and marks it again.
    if (marks.best) PointLink(run_folder, RunLink::kBest, final);
    if (marks.before_decay) PointLink(run_folder, RunLink::kBeforeDecay, final);
    PointLink(run_folder, RunLink::kLatest, final);
  } catch (const std::exception& cause) {
    if (Exists(temporary)) RemoveFolder(temporary);
    FailToPublish(run_folder, step, cause);
  }
  RemoveOldCheckpoints(run_folder, step, keep);
  return final;
}

OpenedCheckpoint OpenCheckpoint(const std::string& folder, OpenFor purpose) {
  if (!Exists(folder)) throw Error(fmt::format("there is no folder '{}'", folder), "check the path");
  if (!IsFolder(folder)) {
    throw Error(fmt::format("'{}' is a file, not a model folder, and no packed model", folder),
                "give the folder that it is in, or what `flashlm export --format packed` wrote");
  }
  const bool has_run = IsFolder(FileIn(folder, "checkpoints")) || Exists(FileIn(folder, "config.toml"));
  const bool is_run = has_run && !Exists(FileIn(folder, kModelFile));
  return is_run ? OpenRun(folder, purpose) : OpenFolder(folder, purpose);
}

}  // namespace flashlm
