// Memory of parameters: zeroed floats, aligned to cache lines, which have a size and keep it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace flashlm {

constexpr int64_t kFloatsPerLine = 16;  // 64 bytes

inline int64_t WholeLines(int64_t floats) { return (floats + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine; }

struct FreeMemory {
  size_t mapped = 0;  // bytes that are the system's own; 0: the C library's
  void operator()(float* memory) const;
};
using ZeroedFloats = std::unique_ptr<float[], FreeMemory>;

// n floats, all zero. Those of large arrays take no memory before they are looked at. Throws Error when memory runs
// out.
ZeroedFloats AllocateZeroed(int64_t n);

// For the whole pages of a part of such an array: whether a first look may bring in 2 MB at once, as from the
// beginning, or 4 kB. Only a wish.
void AdviseHugePages(float* values, int64_t n, bool huge);

}  // namespace flashlm
