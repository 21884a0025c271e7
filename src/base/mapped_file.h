// The bytes of a file as one range of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flashlm {

// A file mapped read-only. Empty files are valid and have size 0. Small files are copied: a map costs more than a page
// of text. A pipe, a terminal or another file that cannot be mapped is read to its end into a temporary file without a
// name ($TMPDIR), which is mapped.
//
// Touching a map whose file was truncated meanwhile ends the process with SIGBUS. Programs may ask for a message
// (ReportLostMaps); what is used for long is read through OpenFile (base/files.h) instead.
class MappedFile {
 public:
  // Of text, which has no NUL bytes, what a pipe sends is read no further than to the first block with one: whoever
  // reads it refuses it there, and would otherwise wait for the end of what may have none (/dev/zero).
  enum class Content : uint8_t { kAny, kText };

  MappedFile() = default;
  // Throws Error if it is missing, a folder, or cannot be read.
  explicit MappedFile(const std::string& path, Content content = Content::kAny);
  // What is left to read on standard input; path() is "standard input".
  static MappedFile StandardInput(Content content = Content::kAny);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  const uint8_t* data() const { return static_cast<const uint8_t*>(data_); }
  size_t size() const { return size_; }
  std::string_view text() const { return {static_cast<const char*>(data_), size_}; }
  // Tells the kernel that pages before `offset` are no longer needed (bounded memory on files of gigabytes).
  void DropBefore(size_t offset) const;

 private:
  void Load(int descriptor, Content content);
  void Copy(int descriptor);
  void Map(int descriptor);

  std::string path_;
  void* data_ = nullptr;
  size_t size_ = 0;
  int watched_ = -1;  // number in the table of maps that ReportLostMaps knows; -1: none, as for copies
};

// Text that a user names: the file, or standard input for "-".
MappedFile OpenInput(const std::string& path);

// From now on a map that loses its file (truncated by another program, or a disk error) ends the process with one line
// that names the file and exit code 1. For programs, not for libraries: it installs a handler of SIGBUS.
void ReportLostMaps();

}  // namespace flashlm
