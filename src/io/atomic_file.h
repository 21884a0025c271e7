// A file that is written piece by piece and appears whole or not at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flashlm {

// Pieces go to PATH.tmp; Commit() syncs it and renames it over PATH. Without Commit() the destructor removes
// it, so an error anywhere in between leaves PATH as it was. Every failure, a full disk included, is an Error
// that names PATH. (WriteFileAtomic of base/files.h does the same for content that is in memory already.)
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
  [[noreturn]] void Fail(const char* doing) const;

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace flashlm
