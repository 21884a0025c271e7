// The folder of a prepared data set while it is made: OUT.tmp, swapped with OUT when complete.
#pragma once

#include <string>

#include "base/files.h"

namespace flashlm {

class OutputFolder {
 public:
  // Makes and locks OUT.tmp. Throws UsageError if OUT holds anything but a data set, Error if either is in
  // use.
  explicit OutputFolder(const std::string& out);
  // Removes OUT.tmp unless it was published.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  // Where to write.
  const std::string& work() const { return work_; }
  // Puts the finished folder in OUT's place; the data set that was there before is removed.
  void Publish();

 private:
  std::string out_, work_;
  FolderLock work_lock_, out_lock_;
  bool published_ = false;
};

}  // namespace flashlm
