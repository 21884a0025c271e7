#include "tensor/zeroed.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace flashlm {

ZeroedFloats AllocateZeroed(int64_t n) {
  const size_t bytes = static_cast<size_t>(std::max(WholeLines(n), kFloatsPerLine)) * sizeof(float);
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) throw Error(fmt::format("out of memory: {} MB of parameters do not fit", bytes >> 20));
  std::memset(memory, 0, bytes);
  return ZeroedFloats(static_cast<float*>(memory));
}

}  // namespace flashlm
