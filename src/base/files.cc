#include "base/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"

namespace flashlm {
namespace {

[[noreturn]] void FailWithErrno(const std::string& doing, const std::string& path) {
  const int code = errno;
  std::string hint;
  if (code == ENOENT) hint = "check the path";
  if (code == EACCES || code == EPERM) hint = "check the permissions";
  if (code == ENOSPC || code == EDQUOT) hint = "free some disk space; what was there before is untouched";
  throw Error(fmt::format("cannot {} '{}': {}", doing, path, std::strerror(code)), hint);
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Descriptor OpenForReading(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) FailWithErrno("open", path);
  struct stat info;
  if (::fstat(file.fd, &info) != 0) FailWithErrno("inspect", path);
  if (S_ISDIR(info.st_mode)) throw Error(fmt::format("'{}' is a folder, not a file", path));
  return file;
}

}  // namespace

std::string ReadFile(const std::string& path) {
  const Descriptor file = OpenForReading(path);
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailWithErrno("read", path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
  }
}

void SyncPath(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) FailWithErrno("open", path);
  if (::fsync(file.fd) != 0) FailWithErrno("write to disk", path);
}

void WriteFileAtomic(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  const auto give_up = [&](const char* doing) {
    const int code = errno;
    ::unlink(temporary.c_str());
    errno = code;
    FailWithErrno(doing, path);
  };
  {
    const Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) FailWithErrno("create", temporary);
    size_t done = 0;
    while (done < content.size()) {
      const ssize_t n = ::write(file.fd, content.data() + done, content.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) give_up("write");
      done += static_cast<size_t>(n);
    }
    if (::fsync(file.fd) != 0) give_up("write");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up("replace");
  const std::string folder = std::filesystem::path(path).parent_path().string();
  SyncPath(folder.empty() ? "." : folder);
}

void MakeFolder(const std::string& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
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
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailWithErrno("read", path);
    if (n == 0) return stream.Hex();
    stream.Add(buffer, static_cast<size_t>(n));
  }
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file = OpenForReading(path);
  struct stat info;
  if (::fstat(file.fd, &info) != 0) FailWithErrno("inspect", path);
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data_ == MAP_FAILED) {
    data_ = nullptr;
    FailWithErrno("map", path);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::DropBefore(size_t offset) const {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t whole = std::min(offset, size_) / page * page;
  if (whole > 0) ::madvise(data_, whole, MADV_DONTNEED);
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
