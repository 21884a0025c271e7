#include "tensor/zeroed.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace flashlm {
namespace {

constexpr size_t kHugePage = size_t{2} << 20, kPage = 4096;

size_t RoundedUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

[[noreturn]] void Fail(size_t bytes) {
  throw Error(fmt::format("out of memory: {} MB of parameters do not fit", bytes >> 20));
}

// `bytes` of the system's zeros (whole huge pages), which begin with a huge page.
float* MapZeros(size_t bytes) {
  void* const memory = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail(bytes);
  auto* const begin = static_cast<char*>(memory);
  const size_t before = RoundedUp(reinterpret_cast<uintptr_t>(begin), kHugePage) - reinterpret_cast<uintptr_t>(begin);
  if (before > 0) ::munmap(begin, before);
  if (before < kHugePage) ::munmap(begin + before + bytes, kHugePage - before);
  return reinterpret_cast<float*>(begin + before);
}

}  // namespace

void FreeMemory::operator()(float* memory) const {
  if (mapped > 0) {
    ::munmap(memory, mapped);
  } else {
    std::free(memory);
  }
}

ZeroedFloats AllocateZeroed(int64_t n) {
  const size_t bytes = static_cast<size_t>(std::max(WholeLines(n), kFloatsPerLine)) * sizeof(float);
  if (bytes >= 2 * kHugePage) {
    const size_t mapped = RoundedUp(bytes, kHugePage);
    ZeroedFloats floats(MapZeros(mapped), FreeMemory{mapped});
    // In pages of 4 kB the first touch of a large model's parameters takes longer than filling them.
    AdviseHugePages(floats.get(), static_cast<int64_t>(mapped / sizeof(float)), true);
    return floats;
  }
  void* const memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) Fail(bytes);
  std::memset(memory, 0, bytes);
  return ZeroedFloats(static_cast<float*>(memory));
}

void AdviseHugePages(float* values, int64_t n, bool huge) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(values), end = begin + static_cast<size_t>(n) * sizeof(float);
  const uintptr_t first = RoundedUp(begin, kPage), last = end / kPage * kPage;  // pages that are all of this array
  if (last <= first) return;
  ::madvise(reinterpret_cast<void*>(first), last - first, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

}  // namespace flashlm
