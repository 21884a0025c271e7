// Failures of memory and of system calls, at the n-th of them.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace flashlm {

// Smaller pieces of memory do not fail: the destructor of nlohmann's JSON asks for 16 bytes per child and more, and
// what a destructor throws ends the process. On Linux it is large ones that fail, by a limit on the address space.
inline constexpr size_t kSmallest = 16384;

enum class Fault : uint8_t {
  kMemory,       // operator new, aligned_alloc or mmap has no memory, for kSmallest bytes and more
  kIo,           // open, fstat, write, pwrite, read, pread, fsync, close, rename, symlink or mkdir fails with EIO
  kFullDisk,     // write, pwrite, fsync fail with ENOSPC, from the n-th on
  kShortWrite,   // write and pwrite write half of what they are given, from the n-th on: no failure at all
  kInterrupted,  // a signal comes while write, pwrite, read or pread waits (EINTR): no failure at all
};

// Runs action with its n-th call of that kind failing (from 1 on). True if there were so many.
bool RunWithFault(Fault fault, int64_t n, const std::function<void()>& action);

}  // namespace flashlm
