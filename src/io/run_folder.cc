#include "io/run_folder.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

constexpr char kCheckpoints[] = "checkpoints";
constexpr std::string_view kStepPrefix = "step_";
constexpr char kTemporary[] = ".tmp";          // not complete, or about to be removed
constexpr char kReplaced[] = ".replaced";      // complete; a newer one of the same step takes its place
constexpr char kSuperseded[] = ".superseded";  // complete; training has gone back behind it

fs::path LinkPath(const std::string& run_folder, RunLink link) {
  const char* name = link == RunLink::kLatest ? "latest" : link == RunLink::kBest ? "best" : "before_decay";
  return fs::path(run_folder) / name;
}

// The step of "step_000500" or "step_000500.replaced", -1 for other names.
int64_t StepOf(const fs::path& folder) {
  std::string name = folder.filename().string();
  if (folder.extension() == kReplaced) name = folder.stem().string();
  constexpr size_t kMostDigits = 18;
  if (!name.starts_with(kStepPrefix)) return -1;
  const std::string digits = name.substr(kStepPrefix.size());
  const bool numeric = digits.find_first_not_of("0123456789") == std::string::npos;
  return digits.empty() || digits.size() > kMostDigits || !numeric ? -1 : std::stoll(digits);
}

void Rename(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::rename(from, to, code);
  if (code) {
    throw Error(fmt::format("cannot rename '{}' to '{}': {}", from.string(), to.string(), code.message()));
  }
}

std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    entries.push_back(it->path());
  }
  return entries;
}

}  // namespace

std::string StepFolderPath(const std::string& run_folder, int64_t step) {
  return (fs::path(run_folder) / kCheckpoints / fmt::format("{}{:06d}", kStepPrefix, step)).string();
}

std::vector<StepFolder> ListStepFolders(const std::string& run_folder) {
  std::vector<StepFolder> folders;
  for (const fs::path& path : Entries(fs::path(run_folder) / kCheckpoints)) {
    const int64_t step = StepOf(path);
    if (step >= 0 && IsFolder(path.string())) folders.push_back({step, path.string()});
  }
  std::sort(folders.begin(), folders.end(), [](const StepFolder& a, const StepFolder& b) {
    // Of one step, the replaced folder has the longer name.
    return a.step != b.step ? a.step > b.step : a.path.size() < b.path.size();
  });
  return folders;
}

std::string LinkedFolder(const std::string& run_folder, RunLink link) {
  const fs::path path = LinkPath(run_folder, link);
  std::error_code code;
  const fs::path target = fs::read_symlink(path, code);
  if (!code) return (fs::path(run_folder) / target).string();
  // A copy made without links has folders in their place.
  return IsFolder(path.string()) ? path.string() : "";
}

void PointLink(const std::string& run_folder, RunLink link, const std::string& step_folder) {
  const fs::path path = LinkPath(run_folder, link);
  const fs::path temporary = path.string() + kTemporary;
  std::error_code code;
  // A link cannot replace a folder, which is what a copy of the run made without links has here.
  if (fs::is_directory(fs::symlink_status(path, code))) RemoveFolder(path.string());
  fs::remove_all(temporary, code);
  fs::create_symlink(fs::path(kCheckpoints) / fs::path(step_folder).filename(), temporary, code);
  if (code) throw Error(fmt::format("cannot create the link '{}': {}", path.string(), code.message()));
  Rename(temporary, path);
  SyncPath(run_folder);
}

void PublishFolder(const std::string& temporary, const std::string& final) {
  const std::string replaced = final + kReplaced;
  const bool replaces = Exists(final);
  if (replaces) Rename(final, replaced);
  Rename(temporary, final);
  SyncPath(fs::path(final).parent_path().string());
  if (replaces) RemoveFolder(replaced);
}

void RemoveFolder(const std::string& folder) {
  std::error_code code;
  const std::string doomed = folder.ends_with(kTemporary) ? folder : folder + kTemporary;
  if (doomed != folder) fs::rename(folder, doomed, code);
  if (!code) fs::remove_all(doomed, code);
  if (code) Say(fmt::format("cannot remove the old folder '{}': {}", folder, code.message()));
}

void SupersedeFolder(const std::string& run_folder, const std::string& step_folder) {
  const std::string superseded = step_folder + kSuperseded;
  // The link first: it names nothing until the folder has its new name, and then what it named before.
  const fs::path best = fs::path(LinkedFolder(run_folder, RunLink::kBest)).filename();
  if (best == fs::path(step_folder).filename()) PointLink(run_folder, RunLink::kBest, superseded);
  if (Exists(superseded)) RemoveFolder(superseded);
  Rename(step_folder, superseded);
  SyncPath(fs::path(step_folder).parent_path().string());
}

bool IsSuperseded(const std::string& folder) { return folder.ends_with(kSuperseded); }

void RemoveSuperseded(const std::string& run_folder) {
  const fs::path best = fs::path(LinkedFolder(run_folder, RunLink::kBest)).filename();
  for (const fs::path& path : Entries(fs::path(run_folder) / kCheckpoints)) {
    if (IsSuperseded(path.string()) && path.filename() != best) RemoveFolder(path.string());
  }
}

void CleanLeftovers(const std::string& run_folder) {
  for (RunLink link : {RunLink::kLatest, RunLink::kBest, RunLink::kBeforeDecay}) {
    std::error_code code;  // most often there is nothing to remove
    fs::remove_all(LinkPath(run_folder, link).string() + kTemporary, code);
  }
  for (const fs::path& path : Entries(fs::path(run_folder) / kCheckpoints)) {
    if (path.extension() == kTemporary) {
      RemoveFolder(path.string());
    } else if (path.extension() == kReplaced && StepOf(path) >= 0) {
      const fs::path successor = path.parent_path() / path.stem();
      if (Exists(successor.string())) {
        RemoveFolder(path.string());
      } else {
        Rename(path, successor);
      }
    }
  }
}

}  // namespace flashlm
