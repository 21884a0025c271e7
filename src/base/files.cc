#include "base/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "base/paths.h"

namespace flashlm {
namespace {

[[noreturn]] void FailWithErrno(const std::string& doing, const std::string& path) {
  const int code = errno;
  std::string hint;
  if (code == ENOENT) hint = "check the path";
  if (code == EACCES || code == EPERM) hint = "check the permissions";
  if (code == ENOSPC || code == EDQUOT) hint = "free some disk space";
  throw Error(fmt::format("cannot {} '{}': {}", doing, path, std::strerror(code)), hint);
}

Descriptor OpenForReading(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number() < 0) FailWithErrno("open", path);
  struct stat info;
  if (::fstat(file.number(), &info) != 0) FailWithErrno("inspect", path);
  if (S_ISDIR(info.st_mode)) throw Error(fmt::format("'{}' is a folder, not a file", path));
  return file;
}

}  // namespace

std::string ReadFile(const std::string& path) {
  const Descriptor file = OpenForReading(path);
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(file.number(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailWithErrno("read", path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
  }
}

void SyncPath(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number() < 0) FailWithErrno("open", path);
  if (::fsync(file.number()) != 0) FailWithErrno("write to disk", path);
}

void WriteFileAtomic(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.Append(content);
  file.Commit();
}

void MakeFolder(const std::string& path) {
  std::error_code code;
  // Where links lead, also one that leads to nothing yet.
  std::filesystem::create_directories(ResolvePath(path), code);
  if (code) throw Error(fmt::format("cannot create the folder '{}': {}", path, code.message()));
}

namespace {

class Sha256Stream {
 public:
  Sha256Stream() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void Add(const void* data, size_t size) { EVP_DigestUpdate(context_.get(), data, size); }
  std::string Hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &length);
    std::string hex;
    for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string Sha256(std::string_view bytes) {
  Sha256Stream stream;
  stream.Add(bytes.data(), bytes.size());
  return stream.Hex();
}

std::string Sha256OfFile(const std::string& path) {
  const Descriptor file = OpenForReading(path);
  Sha256Stream stream;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(file.number(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailWithErrno("read", path);
    if (n == 0) return stream.Hex();
    stream.Add(buffer, static_cast<size_t>(n));
  }
}

FileStamp StampOf(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) FailWithErrno("inspect", path);
  return {info.st_dev, info.st_ino, info.st_size, int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

OpenFile::OpenFile(const std::string& path) : path_(path) {
  Descriptor file = OpenForReading(path);
  struct stat info;
  if (::fstat(file.number(), &info) != 0) FailWithErrno("inspect", path);
  size_ = static_cast<size_t>(info.st_size);
  descriptor_ = file.Release();
}

OpenFile::~OpenFile() { ::close(descriptor_); }

void OpenFile::ReadAt(size_t offset, void* bytes, size_t count) const {
  char* to = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t n = ::pread(descriptor_, to, count, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailWithErrno("read", path_);
    if (n == 0) throw Error(fmt::format("'{}' became shorter while it was in use", path_), "restore the file");
    to += n;
    offset += static_cast<size_t>(n);
    count -= static_cast<size_t>(n);
  }
}

FolderLock::FolderLock(const std::string& folder) {
  const std::string path = folder + "/.lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) FailWithErrno("lock", path);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    descriptor_ = -1;
    throw Error(fmt::format("the folder '{}' is in use by another process", folder),
                "wait for it to finish, or choose another --out");
  }
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace flashlm
