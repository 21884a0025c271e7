#include "base/parallel.h"

#include <thread>

namespace flashlm {

thread_local Team* Team::current_ = nullptr;

void Team::Pause(int spins) {
  constexpr int kSpins = 1 << 14;  // about 0.2 ms
  if (spins < kSpins) {
    __builtin_ia32_pause();
  } else {
    std::this_thread::yield();
  }
}

}  // namespace flashlm
