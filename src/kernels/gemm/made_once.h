// Whether a copy of a matrix in some layout has been made: by the first product that wants it, whichever thread makes
// that, while others that want it wait.
#pragma once

#include <atomic>
#include <mutex>

namespace flashlm::kernels {

class MadeOnce {
 public:
  // Calls make() unless that has been done since the last Forget.
  template <class Make>
  void Want(const Make& make) {
    if (!wanted_.load(std::memory_order_relaxed)) wanted_.store(true, std::memory_order_relaxed);
    if (!made_.load(std::memory_order_acquire)) MakeUnlessMade(make);
  }
  // While nobody wants it: the matrix has new values.
  void Forget() {
    wanted_before_ = wanted_.exchange(false, std::memory_order_relaxed);
    made_.store(false, std::memory_order_relaxed);
  }
  // Makes it for those who are going to want it, if it was wanted of the values before.
  template <class Make>
  void Renew(const Make& make) {
    if (wanted_before_) MakeUnlessMade(make);
  }

 private:
  template <class Make>
  void MakeUnlessMade(const Make& make) {
    const std::lock_guard lock(making_);
    if (made_.load(std::memory_order_relaxed)) return;
    make();
    made_.store(true, std::memory_order_release);
  }

  std::atomic<bool> wanted_ = false, made_ = false;
  bool wanted_before_ = false;
  std::mutex making_;
};

}  // namespace flashlm::kernels
