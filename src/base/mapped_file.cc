#include "base/mapped_file.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/progress.h"

namespace flashlm {
namespace {

constexpr size_t kCopied = 64 << 10;

// What the signal handler needs to know of a map: only plain memory, since nothing else is safe there.
struct WatchedMap {
  std::atomic<bool> taken{false};
  std::atomic<const char*> begin{nullptr};
  std::atomic<size_t> size{0};
  char path[256];  // the end of a longer one
};
std::array<WatchedMap, 512> watched_maps;

int Watch(const void* data, size_t size, const std::string& path) {
  for (size_t i = 0; i < watched_maps.size(); ++i) {
    WatchedMap& map = watched_maps[i];
    if (map.taken.exchange(true)) continue;
    const size_t skipped = path.size() < sizeof map.path ? 0 : path.size() - sizeof map.path + 1;
    std::memcpy(map.path, path.c_str() + skipped, path.size() - skipped + 1);
    map.size = size;
    map.begin = static_cast<const char*>(data);
    return static_cast<int>(i);
  }
  return -1;  // more maps than are ever open at once: one of them would be lost without its name
}

void Unwatch(int number) {
  if (number < 0) return;
  watched_maps[number].begin = nullptr;
  watched_maps[number].taken = false;
}

void WriteToStderr(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // there is nobody left to tell
}

void OnLostPage(int, siginfo_t* info, void*) {
  static std::atomic_flag reported = ATOMIC_FLAG_INIT;
  if (reported.test_and_set()) {
    for (;;) ::pause();  // another thread is saying it
  }
  const char* path = "a file";
  for (const WatchedMap& map : watched_maps) {
    const char* const begin = map.begin;
    const char* const at = static_cast<const char*>(info->si_addr);
    if (begin != nullptr && at >= begin && at < begin + map.size) path = map.path;
  }
  WriteToStderr(::isatty(STDERR_FILENO) == 1 ? "\r\x1b[Kerror: '" : "error: '");
  WriteToStderr(path);
  WriteToStderr("' became shorter while it was read, or its disk failed (hint: let nothing write to it meanwhile)\n");
  ::_exit(1);
}

[[noreturn]] void Fail(const char* doing, const std::string& path) {
  const int code = errno;
  std::string hint;
  if (code == ENOENT) hint = "check the path";
  if (code == EACCES || code == EPERM) hint = "check the permissions";
  throw Error(fmt::format("cannot {} '{}': {}", doing, path, std::strerror(code)), hint);
}

// A file without a name: on disk, or where no folder for temporary files can be used, in memory.
int NamelessFile() {
  std::error_code code;
  std::string name = (std::filesystem::temp_directory_path(code) / "flashlm_input_XXXXXX").string();
  const int number = code ? -1 : ::mkostemp(name.data(), O_CLOEXEC);
  if (number < 0) return ::memfd_create("flashlm_input", MFD_CLOEXEC);
  ::unlink(name.c_str());
  return number;
}

// Up to `count` bytes; 0 at the end. Waits in poll(), which Ctrl-C ends even where reads are started again.
size_t ReadSome(int descriptor, char* to, size_t count, const std::string& path) {
  for (;;) {
    pollfd waiting{descriptor, POLLIN, 0};
    const bool ready = ::poll(&waiting, 1, -1) >= 0;
    if (Interrupted()) throw Error(fmt::format("interrupted while reading '{}'", path));
    if (!ready && errno != EINTR) Fail("read", path);
    if (!ready) continue;
    const ssize_t n = ::read(descriptor, to, count);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR && errno != EAGAIN) Fail("read", path);
  }
}

void CopyToTheEnd(int from, int to, const std::string& path, MappedFile::Content content) {
  std::vector<char> buffer(1 << 20);
  bool readable = true;
  while (const size_t count = readable ? ReadSome(from, buffer.data(), buffer.size(), path) : 0) {
    readable = content == MappedFile::Content::kAny || std::memchr(buffer.data(), '\0', count) == nullptr;
    for (size_t done = 0; done < count;) {
      const ssize_t n = ::write(to, buffer.data() + done, count - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        throw Error(fmt::format("cannot store what '{}' sends: {}", path, std::strerror(errno)),
                    "set TMPDIR to a folder with enough space, or write it to a file first");
      }
      done += static_cast<size_t>(n);
    }
  }
}

}  // namespace

MappedFile::MappedFile(const std::string& path, Content content) : MappedFile() {  // so that what throws below unmaps
  path_ = path;
  // Without waiting for somebody to open the other end of a pipe, which no signal that is only noted would end.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.number() < 0) Fail("open", path);
  Load(file.number(), content);
}

MappedFile MappedFile::StandardInput(Content content) {
  MappedFile input;
  input.path_ = "standard input";
  input.Load(STDIN_FILENO, content);
  return input;
}

void MappedFile::Load(int descriptor, Content content) {
  struct stat info;
  if (::fstat(descriptor, &info) != 0) Fail("inspect", path_);
  if (S_ISDIR(info.st_mode)) throw Error(fmt::format("'{}' is a folder, not a file", path_));
  // Whoever opened standard input may have read some of it.
  if (S_ISREG(info.st_mode) && ::lseek(descriptor, 0, SEEK_CUR) == 0) {
    size_ = static_cast<size_t>(info.st_size);
    return size_ <= kCopied ? Copy(descriptor) : Map(descriptor);
  }
  const Descriptor copy(NamelessFile());
  if (copy.number() < 0) Fail("make a temporary file for", path_);
  CopyToTheEnd(descriptor, copy.number(), path_, content);
  size_ = static_cast<size_t>(::lseek(copy.number(), 0, SEEK_CUR));
  Map(copy.number());
}

void MappedFile::Copy(int descriptor) {
  if (size_ == 0) return;
  void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("map", path_);
  data_ = memory;
  size_t done = 0;
  while (done < size_) {
    const ssize_t n = ::pread(descriptor, static_cast<char*>(memory) + done, size_ - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail("read", path_);
    if (n == 0) throw Error(fmt::format("'{}' became shorter while it was read", path_));
    done += static_cast<size_t>(n);
  }
}

void MappedFile::Map(int descriptor) {
  if (size_ == 0) return;
  void* const memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (memory == MAP_FAILED) Fail("map", path_);
  data_ = memory;
  watched_ = Watch(data_, size_, path_);
}

MappedFile::~MappedFile() {
  Unwatch(watched_);
  if (data_ != nullptr) ::munmap(data_, size_);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(watched_, other.watched_);
  return *this;
}

void MappedFile::DropBefore(size_t offset) const {
  if (size_ <= kCopied) return;  // pages of a copy would come back empty
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t whole = std::min(offset, size_) / page * page;
  if (whole > 0) ::madvise(data_, whole, MADV_DONTNEED);
}

MappedFile OpenInput(const std::string& path) {
  constexpr auto kText = MappedFile::Content::kText;
  return path == "-" ? MappedFile::StandardInput(kText) : MappedFile(path, kText);
}

void ReportLostMaps() {
  struct sigaction action {};
  action.sa_sigaction = OnLostPage;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace flashlm
