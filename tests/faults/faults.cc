// This program's own operator new and system calls stand before those of the C library.
#include "tests/faults/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdlib>
#include <new>

namespace flashlm {
namespace {

std::atomic<bool> armed = false;
std::atomic<int64_t> left = 0;
std::atomic<Fault> kind = Fault::kMemory;

// A call of this kind; true if it is to fail.
bool Fails(Fault fault, bool for_good) {
  if (!armed.load(std::memory_order_relaxed) || kind.load(std::memory_order_relaxed) != fault) return false;
  const int64_t now = --left;
  return now == 0 || (for_good && now < 0);
}

}  // namespace

bool RunWithFault(Fault fault, int64_t n, const std::function<void()>& action) {
  kind = fault;
  left = n;
  armed = true;
  struct Disarm {
    ~Disarm() { armed = false; }
  } const disarm;
  action();
  return left <= 0;
}

}  // namespace flashlm

namespace {

using flashlm::Fault;

bool FailsNow(Fault fault) { return flashlm::Fails(fault, false); }
size_t BytesWritten(size_t bytes) { return bytes > 1 && flashlm::Fails(Fault::kShortWrite, true) ? bytes / 2 : bytes; }
bool NoMemory(size_t bytes) { return bytes >= flashlm::kSmallest && FailsNow(Fault::kMemory); }
int TransferError() { return FailsNow(Fault::kIo) ? EIO : FailsNow(Fault::kInterrupted) ? EINTR : 0; }
int FullDisk() { return flashlm::Fails(Fault::kFullDisk, true) ? ENOSPC : 0; }
int WriteError() {
  const int code = TransferError();
  return code != 0 ? code : FullDisk();
}
int SyncError() { return FailsNow(Fault::kIo) ? EIO : FullDisk(); }

// The C library's.
template <class Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

void* operator new(size_t bytes) {
  if (NoMemory(bytes)) throw std::bad_alloc();
  if (void* memory = std::malloc(std::max<size_t>(bytes, 1))) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

extern "C" {

void* aligned_alloc(size_t alignment, size_t bytes) {
  static const auto real = Real<void* (*)(size_t, size_t)>("aligned_alloc");
  if (NoMemory(bytes)) return errno = ENOMEM, nullptr;
  return real(alignment, bytes);
}

void* mmap(void* at, size_t bytes, int protection, int flags, int descriptor, off_t offset) noexcept {
  static const auto real = Real<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
  if (NoMemory(bytes)) return errno = ENOMEM, MAP_FAILED;
  return real(at, bytes, protection, flags, descriptor, offset);
}

ssize_t write(int descriptor, const void* data, size_t bytes) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t)>("write");
  if (const int code = WriteError(); code != 0) return errno = code, -1;
  return real(descriptor, data, BytesWritten(bytes));
}

ssize_t pwrite(int descriptor, const void* data, size_t bytes, off_t offset) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  if (const int code = WriteError(); code != 0) return errno = code, -1;
  return real(descriptor, data, bytes, offset);
}

int fsync(int descriptor) {
  static const auto real = Real<int (*)(int)>("fsync");
  if (const int code = SyncError(); code != 0) return errno = code, -1;
  return real(descriptor);
}

int fstat(int descriptor, struct stat* info) noexcept {
  static const auto real = Real<int (*)(int, struct stat*)>("fstat");
  if (FailsNow(Fault::kIo)) return errno = EIO, -1;
  return real(descriptor, info);
}

int close(int descriptor) {
  static const auto real = Real<int (*)(int)>("close");
  const int code = real(descriptor);  // closed it is, whatever it says
  if (FailsNow(Fault::kIo)) return errno = EIO, -1;
  return code;
}

ssize_t read(int descriptor, void* data, size_t bytes) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t)>("read");
  if (const int code = TransferError(); code != 0) return errno = code, -1;
  return real(descriptor, data, bytes);
}

ssize_t pread(int descriptor, void* data, size_t bytes, off_t offset) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  if (const int code = TransferError(); code != 0) return errno = code, -1;
  return real(descriptor, data, bytes, offset);
}

int open(const char* path, int flags, ...) {
  static const auto real = Real<int (*)(const char*, int, ...)>("open");
  std::va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (FailsNow(Fault::kIo)) return errno = EIO, -1;
  return real(path, flags, mode);
}

int rename(const char* from, const char* to) noexcept {
  static const auto real = Real<int (*)(const char*, const char*)>("rename");
  if (FailsNow(Fault::kIo)) return errno = EIO, -1;
  return real(from, to);
}

int symlink(const char* to, const char* path) noexcept {
  static const auto real = Real<int (*)(const char*, const char*)>("symlink");
  if (FailsNow(Fault::kIo)) return errno = EIO, -1;
  return real(to, path);
}

int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = Real<int (*)(const char*, mode_t)>("mkdir");
  if (FailsNow(Fault::kIo)) return errno = EIO, -1;
  return real(path, mode);
}

}  // extern "C"
