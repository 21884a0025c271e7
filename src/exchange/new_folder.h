// A folder that appears whole or not at all.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"

namespace flashlm {

class NewFolder {
 public:
  // Throws UsageError if `option FOLDER` exists and is not an empty folder: nothing of it may be lost.
  NewFolder(const std::string& option, const std::string& folder) : folder_(WithoutSlashes(folder)) {
    std::error_code code;
    if (Exists(folder) && (!IsFolder(folder) || !std::filesystem::is_empty(folder, code))) {
      throw UsageError(fmt::format("{} '{}' is there already", option, folder), "name a new folder");
    }
    const std::string around = std::filesystem::path(folder_).parent_path().string();
    if (!around.empty()) MakeFolder(around);
    MakeOwn();
    path_ = FileIn(own_.path, "new");
    MakeFolder(path_);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  // Where to write until Commit.
  const std::string& path() const { return path_; }
  void Commit() {
    SyncPath(path_);
    std::error_code code;
    std::filesystem::rename(path_, folder_, code);
    if (code) throw Error(fmt::format("cannot make the folder '{}': {}", folder_, code.message()));
  }

 private:
  // Removed with all that is in it. A member, so that this holds where the constructor throws, too.
  struct OwnFolder {
    OwnFolder() = default;
    ~OwnFolder() {
      std::error_code code;
      if (!path.empty()) std::filesystem::remove_all(path, code);
    }
    OwnFolder(const OwnFolder&) = delete;
    OwnFolder& operator=(const OwnFolder&) = delete;
    std::string path;
  };

  // A folder beside FOLDER of a name that nobody has: what happens to be called FOLDER.tmp may be somebody's. It is for
  // its owner only, hence one within that has the permissions of any new folder, and takes the place of FOLDER.
  void MakeOwn() {
    std::string name = folder_ + ".tmp-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      const int error = errno;
      throw Error(fmt::format("cannot create a folder beside '{}': {}", folder_, std::strerror(error)),
                  "check the permissions");
    }
    own_.path = std::move(name);
  }

  static std::string WithoutSlashes(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
  }

  std::string folder_, path_;
  OwnFolder own_;
};

}  // namespace flashlm
