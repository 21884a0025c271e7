#include "base/atomic_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/progress.h"

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

// The number of the open descriptor that a path such as /dev/stdout or /dev/fd/63 stands for, or -1. Opening it by name
// would start at the beginning of a redirected file instead of where the shell is in it.
int OwnDescriptor(const std::string& path) {
  if (path == "-") return STDOUT_FILENO;
  std::filesystem::path at(path);
  std::error_code code;
  const auto is_own = [&] {
    return std::filesystem::weakly_canonical(at.parent_path(), code) == fmt::format("/proc/{}/fd", ::getpid());
  };
  for (int links = 0; links < 8 && !is_own() && std::filesystem::is_symlink(at, code); ++links) {
    at = at.parent_path() / std::filesystem::read_symlink(at, code);
  }
  return is_own() ? std::atoi(at.filename().c_str()) : -1;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  if (const int own = OwnDescriptor(path); own >= 0) {
    descriptor_ = ::fcntl(own, F_DUPFD_CLOEXEC, 0);
    if (descriptor_ < 0) Fail("open");
    return;
  }
  struct stat info;
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (!exists && errno != ENOENT) Fail("create");  // a loop of links, say
  if (exists && S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    Fail("replace");
  }
  if (exists && !S_ISREG(info.st_mode)) {
    OpenDirectly();
  } else {
    target_ = ResolvePath(path).string();
    OpenTemporary();
    if (exists && ::fchmod(descriptor_, info.st_mode & 07777) != 0) Fail("set the permissions of");
  }
}

void AtomicFile::OpenDirectly() {
  // A pipe that nobody reads yet is waited for, but not inside open(), which no signal that is only noted would end.
  while ((descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0) {
    if (errno != ENXIO) Fail("open");
    StopIfInterrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void AtomicFile::StopIfInterrupted() const {
  if (Interrupted()) throw Error(fmt::format("interrupted while writing '{}'", path_));
}

void AtomicFile::OpenTemporary() {
  // A name of our own: what happens to be called PATH.tmp may be somebody's text.
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ = fmt::format("{}.{}{}.tmp", target_, ::getpid(), attempt == 0 ? "" : fmt::format("-{}", attempt));
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor_ < 0 && errno != EEXIST) Fail("create");
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::Append(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    size_t most = bytes;
    if (temporary_
            .empty()) {  // a reader may be slow: waits in poll(), which signals end, for what fits without waiting
      pollfd waiting{descriptor_, POLLOUT, 0};
      ::poll(&waiting, 1, -1);
      StopIfInterrupted();
      most = std::min<size_t>(bytes, PIPE_BUF);
    }
    const ssize_t written = ::write(descriptor_, next, most);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written < 0) Fail("write");
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::Commit() {
  if (!temporary_.empty()) {
    // Some file systems report a full disk only here.
    if (::fsync(descriptor_) != 0) Fail("write");
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) Fail("replace");
  }
  ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) SyncPath(std::filesystem::path(target_).parent_path().string());
}

void AtomicFile::Fail(const char* doing) const {
  const int code = errno;
  throw Error(fmt::format("cannot {} '{}': {}", doing, path_, std::strerror(code)),
              target_.empty() && code == ENOSPC ? "" : HintFor(code));
}

}  // namespace flashlm
