#include "tensor/zeroed.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace flashlm {

ZeroedFloats AllocateZeroed(int64_t n) {
  const size_t bytes = static_cast<size_t>(std::max(WholeLines(n), kFloatsPerLine)) * sizeof(float);
  constexpr size_t kHugePage = size_t{2} << 20;
  const bool large = bytes >= 2 * kHugePage;
  const size_t alignment = large ? kHugePage : 64;
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw Error(fmt::format("out of memory: {} MB of parameters do not fit", bytes >> 20));
  // In pages of 4 kB the first touch of a large model's parameters takes longer than filling them. Only a wish.
  if (large) ::madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 0, bytes);
  return ZeroedFloats(static_cast<float*>(memory));
}

}  // namespace flashlm
