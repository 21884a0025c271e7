// Files: whole reads, atomic writes, folder locks, checksums. Every failure is an Error that names the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flashlm {

// Closes what it goes out of scope with.
struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePointer = std::unique_ptr<std::FILE, FileCloser>;

std::string ReadFile(const std::string& path);

// Readers see the old file or the new one: AtomicFile (base/atomic_file.h) for content that is in memory.
void WriteFileAtomic(const std::string& path, std::string_view content);

void MakeFolder(const std::string& path);

// Pushes a finished file or folder entry to disk. Throws Error.
void SyncPath(const std::string& path);

// SHA-256 as 64 lower-case hexadecimal digits.
std::string Sha256(std::string_view bytes);
std::string Sha256OfFile(const std::string& path);

// Whether a file is still the one that was looked at.
struct FileStamp {
  uint64_t device = 0, inode = 0;
  int64_t bytes = 0;
  int64_t modified_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const std::string& path);

// A file that is read here and there over a long time. Unlike a map it can be truncated meanwhile by someone else: then
// ReadAt throws, where touching a map would end the process by a signal. Thread-safe.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::string& path() const { return path_; }
  // When it was opened.
  size_t size() const { return size_; }
  // Throws Error if there are fewer than `count` bytes from `offset` on.
  void ReadAt(size_t offset, void* bytes, size_t count) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  size_t size_ = 0;
};

// An exclusive advisory lock on FOLDER/.lock, held for the object's life; throws Error if another process has it.
class FolderLock {
 public:
  FolderLock() = default;
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept { *this = std::move(other); }
  FolderLock& operator=(FolderLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

 private:
  int descriptor_ = -1;
};

}  // namespace flashlm
