// Aligned memory that grows and is never copied: packed operands, scratch.
#pragma once

#include <cstdlib>
#include <memory>

#include "base/error.h"

namespace flashlm::kernels {

class Buffer {
 public:
  // 64-byte aligned. What it held is lost when it grows. Throws Error when memory runs out.
  void* AtLeast(size_t bytes) {
    if (bytes > size_) {
      size_ = (bytes + 63) / 64 * 64;
      data_.reset();
      data_.reset(std::aligned_alloc(64, size_));
      if (data_ == nullptr) throw Error("out of memory in a matrix product");
    }
    return data_.get();
  }
  // Null before the first AtLeast.
  void* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> data_;
  size_t size_ = 0;
};

}  // namespace flashlm::kernels
