// Memory for activations, gradients and scratch: a bump pointer over a reserved range of addresses. Nothing moves when
// it grows, and pages cost nothing until they are touched. After the second training step it must not grow any more
// (a test counts).
#pragma once

#include <cstddef>
#include <cstdint>

namespace flashlm {

class Arena {
 public:
  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, uninitialised (all-NaN in debug builds). Throws Error when memory runs out.
  void* Allocate(size_t bytes);
  template <class T>
  T* AllocateArray(int64_t n) {
    return static_cast<T*>(Allocate(static_cast<size_t>(n) * sizeof(T)));
  }

  // A stack: Release(Mark()) frees everything allocated in between.
  size_t Mark() const { return used_; }
  void Release(size_t mark);
  void Reset() { Release(0); }
  // What nothing is allocated in goes back to the system, until it is asked for again.
  void GiveBack();

  size_t peak_bytes() const { return peak_; }
  // How often the peak has risen above every earlier one since construction.
  int64_t grow_events() const { return grow_events_; }

 private:
  char* base_ = nullptr;
  size_t reserved_ = 0;
  size_t committed_ = 0;
  size_t used_ = 0;
  size_t peak_ = 0;
  int64_t grow_events_ = 0;
};

}  // namespace flashlm
