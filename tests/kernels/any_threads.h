// For tests that a result does not depend on how many threads there are.
#pragma once

#include <gtest/gtest.h>

#include "base/parallel.h"

namespace flashlm::kernels {

// What run() computes with so many threads; afterwards there are as many as before.
template <class Run>
auto WithThreads(int threads, const Run& run) {
  struct Restore {
    int before = ThreadCount();
    ~Restore() { SetThreadCount(before); }
  } restore;
  SetThreadCount(threads);
  return run();
}

// run() gives the same, bit for bit, with one thread, two and three.
template <class Run>
void ExpectSameWithAnyThreads(const Run& run) {
  const auto one = WithThreads(1, run);
  EXPECT_EQ(WithThreads(2, run), one);
  EXPECT_EQ(WithThreads(3, run), one);
}

}  // namespace flashlm::kernels
