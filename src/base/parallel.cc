#include "base/parallel.h"

#include <thread>

namespace flashlm {
namespace {

// Gives the core away when the wait is long: the thread waited for may need it.
void Pause(int spins) {
  constexpr int kSpins = 1 << 12;  // about 50 us
  if (spins < kSpins) {
    __builtin_ia32_pause();
  } else {
    std::this_thread::yield();
  }
}

}  // namespace

thread_local Team* Team::current_ = nullptr;

void Team::Work(int thread) {
  Share& share = shares_[static_cast<size_t>(thread)];
  int64_t seen = 0;
  for (int spins = 0;; ++spins) {
    const int64_t round = round_.load(std::memory_order_acquire);
    if (round == kOver) return;
    if (round == seen) {
      Pause(spins);
      continue;
    }
    seen = round;
    spins = 0;
    // What to call may be read only once the share is ours: until it is done the first thread cannot go on.
    int64_t before = round - 1;
    if (!share.begun.compare_exchange_strong(before, round)) continue;
    RunShare(thread);
    share.done.store(round, std::memory_order_release);
  }
}

void Team::FinishShares(int64_t round) {
  for (int thread = 1; thread < threads_; ++thread) {
    Share& share = shares_[static_cast<size_t>(thread)];
    int64_t before = round - 1;
    if (share.begun.compare_exchange_strong(before, round)) {
      RunShare(thread);
      continue;
    }
    for (int spins = 0; share.done.load(std::memory_order_acquire) != round; ++spins) Pause(spins);
  }
}

}  // namespace flashlm
