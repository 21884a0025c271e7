// Memory of parameters: zeroed floats, aligned to cache lines, which have a size and keep it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace flashlm {

constexpr int64_t kFloatsPerLine = 16;  // 64 bytes

inline int64_t WholeLines(int64_t floats) { return (floats + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine; }

struct FreeMemory {
  void operator()(float* memory) const { std::free(memory); }
};
using ZeroedFloats = std::unique_ptr<float[], FreeMemory>;

// n floats, all zero. Throws Error when memory runs out.
ZeroedFloats AllocateZeroed(int64_t n);

}  // namespace flashlm
