// Working memory of one thread: kept between calls, so that nothing is allocated in the steady state.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace flashlm::kernels {

class Scratch {
 public:
  static Scratch& OfThread() {
    thread_local Scratch scratch;
    return scratch;
  }

  // Starts anew with room for `floats` and `pieces` of alignment padding; what was taken before is void.
  void Reserve(int64_t floats, int64_t pieces) {
    const int64_t needed = floats + pieces * kAlign;
    if (needed > capacity_) {
      memory_.reset();
      memory_.reset(new (std::align_val_t{kAlign * sizeof(float)}) float[needed]());
      capacity_ = needed;
    }
    used_ = 0;
  }
  // The next n floats, on a cache line of their own; finite, otherwise unspecified.
  float* Take(int64_t n) {
    float* const piece = memory_.get() + used_;
    used_ += (n + kAlign - 1) / kAlign * kAlign;
    return piece;
  }

 private:
  static constexpr int64_t kAlign = 16;
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, std::align_val_t{kAlign * sizeof(float)}); }
  };
  std::unique_ptr<float[], Free> memory_;
  int64_t capacity_ = 0, used_ = 0;
};

}  // namespace flashlm::kernels
