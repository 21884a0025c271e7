// Files: whole reads, atomic writes, memory maps, folder locks, checksums. Every failure is an Error that names the
// path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace flashlm {

std::string ReadFile(const std::string& path);

// Writes PATH.tmp, syncs it, renames it over PATH and syncs the folder: readers see the old file or the new one.
void WriteFileAtomic(const std::string& path, std::string_view content);

void MakeFolder(const std::string& path);

// Pushes a finished file or folder entry to disk. Throws Error.
void SyncPath(const std::string& path);

// SHA-256 as 64 lower-case hexadecimal digits.
std::string Sha256(std::string_view bytes);
std::string Sha256OfFile(const std::string& path);

// A file mapped read-only. Empty files are valid and have size 0.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::string& path);
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
  std::string path_;
  void* data_ = nullptr;
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
