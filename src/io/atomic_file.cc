#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"

namespace flashlm {
namespace {

const char* HintFor(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return "free some disk space; what was there before is untouched";
    case EFBIG:
      return "a limit on file sizes is set (ulimit -f); what was there before is untouched";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check the permissions";
    case ENOENT:
      return "check that the folder exists";
    default:
      return "";
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(path + ".tmp") {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) Fail("create");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::Append(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) Fail("write");
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::Commit() {
  // Some file systems report a full disk only here.
  if (::fsync(descriptor_) != 0) Fail("write");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) Fail("replace");
  ::close(descriptor_);
  descriptor_ = -1;
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  SyncPath(folder.empty() ? "." : folder);
}

void AtomicFile::Fail(const char* doing) const {
  const int code = errno;
  throw Error(fmt::format("cannot {} '{}': {}", doing, path_, std::strerror(code)), HintFor(code));
}

}  // namespace flashlm
