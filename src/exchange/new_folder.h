// A folder that appears whole or not at all.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"

namespace flashlm {

class NewFolder {
 public:
  // Throws UsageError if `option FOLDER` exists and is not an empty folder: nothing of it may be lost.
  NewFolder(const std::string& option, const std::string& folder)
      : folder_(WithoutSlashes(folder)), temporary_(folder_ + ".tmp") {
    std::error_code code;
    if (Exists(folder) && (!IsFolder(folder) || !std::filesystem::is_empty(folder, code))) {
      throw UsageError(fmt::format("{} '{}' is there already", option, folder), "name a new folder");
    }
    std::filesystem::remove_all(temporary_, code);  // of a process that was killed
    MakeFolder(temporary_);
  }
  ~NewFolder() {
    std::error_code code;
    if (!committed_) std::filesystem::remove_all(temporary_, code);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  // Where to write until Commit.
  const std::string& path() const { return temporary_; }
  void Commit() {
    SyncPath(temporary_);
    std::error_code code;
    std::filesystem::rename(temporary_, folder_, code);
    if (code) throw Error(fmt::format("cannot make the folder '{}': {}", folder_, code.message()));
    committed_ = true;
  }

 private:
  static std::string WithoutSlashes(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
  }

  std::string folder_, temporary_;
  bool committed_ = false;
};

}  // namespace flashlm
