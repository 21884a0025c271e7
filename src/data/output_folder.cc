#include "data/output_folder.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/paths.h"
#include "data/difficulty.h"

namespace flashlm {
namespace {

namespace fs = std::filesystem;

bool IsShardName(const std::string& name) {
  const std::string split = name.substr(0, 6);
  return name.size() == 15 && (split == "train_" || split == "valid_") && name.ends_with(".bin") &&
         name.find_first_not_of("0123456789", 6) == 11;
}

bool IsOurs(const std::string& name) {
  return name == ".lock" || name == "meta.json" || name == "tokenizer.json" || name == "valid.txt" ||
         name.starts_with(kDifficultyFile) || IsShardName(name) ||
         (name.find(".json.") != std::string::npos && name.ends_with(".tmp"));
}

void RefuseForeignFiles(const std::string& folder) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder)) throw UsageError(fmt::format("'{}' is a file", folder), "give a folder as --out");
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (IsOurs(name) && entry.is_regular_file()) continue;
    throw UsageError(fmt::format("'{}' holds '{}', which is not part of a data set", folder, name),
                     "choose a new folder as --out");
  }
}

}  // namespace

NewParents::NewParents(const std::string& path) {
  std::error_code code;
  for (fs::path at = ResolvePath(path).parent_path(); !fs::exists(at, code) && at != at.parent_path();) {
    folders_.push_back(at);
    at = at.parent_path();
  }
}

NewParents::~NewParents() {
  std::error_code code;
  for (const fs::path& folder : folders_) {
    if (!fs::remove(folder, code)) return;
  }
}

OutputFolder::OutputFolder(const std::string& out) : out_(out), work_(out + ".tmp"), parents_(work_) {
  RefuseForeignFiles(out_);
  RefuseForeignFiles(work_);
  MakeFolder(work_);
  work_lock_ = FolderLock(work_);
  if (fs::exists(out_)) out_lock_ = FolderLock(out_);
  // What an earlier, killed run left.
  for (const auto& entry : fs::directory_iterator(work_)) {
    if (entry.path().filename() != ".lock") fs::remove(entry.path());
  }
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!published_) fs::remove_all(work_, ignored);
}

void OutputFolder::Publish() {
  SyncPath(work_);
  if (fs::exists(out_)) {
    // One step, so that OUT is at no moment missing; file systems that cannot swap get two.
    if (::renameat2(AT_FDCWD, work_.c_str(), AT_FDCWD, out_.c_str(), RENAME_EXCHANGE) != 0) {
      fs::remove_all(out_);
      fs::rename(work_, out_);
    }
  } else {
    fs::rename(work_, out_);
  }
  published_ = true;
  std::error_code ignored;
  fs::remove_all(work_, ignored);
  const std::string parent = fs::path(out_).parent_path().string();
  SyncPath(parent.empty() ? "." : parent);
}

}  // namespace flashlm
