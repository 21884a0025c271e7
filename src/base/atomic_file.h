// A file that is written piece by piece and appears whole or not at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flashlm {

// Pieces go to a new file beside PATH, PATH.PID.tmp; Commit() syncs it and renames it over PATH. Without Commit() the
// destructor removes it, so an error anywhere in between leaves PATH as it was. Links are followed: what a link leads
// to is replaced, with its permissions kept. A pipe or device is written to directly, as is an open descriptor
// (/dev/stdout, /dev/fd/3; "-" is standard output). Every failure, a full disk included, is an Error that names PATH.
// (WriteFileAtomic of base/files.h does the same for content that is in memory already; base/paths.h refuses an output
// that is an input.)
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Append(const void* data, size_t bytes);
  void Append(std::string_view text) { Append(text.data(), text.size()); }
  void Commit();

 private:
  void OpenDirectly();
  void StopIfInterrupted() const;
  void OpenTemporary();
  [[noreturn]] void Fail(const char* doing) const;

  std::string path_;       // as given, for messages
  std::string target_;     // what `path_` leads to
  std::string temporary_;  // "": written to directly
  int descriptor_ = -1;
};

}  // namespace flashlm
