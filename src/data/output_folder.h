// The folder of a prepared data set while it is made: OUT.tmp, swapped with OUT when complete.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"

namespace flashlm {

// The folders above a path that do not exist when this is made. What is still empty of them at its end is removed.
class NewParents {
 public:
  explicit NewParents(const std::string& path);
  ~NewParents();
  NewParents(const NewParents&) = delete;
  NewParents& operator=(const NewParents&) = delete;

 private:
  std::vector<std::filesystem::path> folders_;  // the innermost first
};

class OutputFolder {
 public:
  // Makes and locks OUT.tmp. Throws UsageError if OUT holds anything but a data set, Error if either is in
  // use.
  explicit OutputFolder(const std::string& out);
  // Removes OUT.tmp unless it was published, and the folders above it that were made for it and stayed empty.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  // Where to write.
  const std::string& work() const { return work_; }
  // Puts the finished folder in OUT's place; the data set that was there before is removed.
  void Publish();

 private:
  std::string out_, work_;
  NewParents parents_;
  FolderLock work_lock_, out_lock_;
  bool published_ = false;
};

}  // namespace flashlm
