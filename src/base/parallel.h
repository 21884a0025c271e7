// Parallel loops on the one OpenMP pool that oneDNN shares. Work is cut into units whose number does not depend on
// the number of threads, so that every reduction keeps its order and results do not change with the thread count.
#pragma once

#include <omp.h>

#include <cstdint>

namespace flashlm {

inline int ThreadCount() { return omp_get_max_threads(); }
inline void SetThreadCount(int threads) { omp_set_num_threads(threads); }

// Calls body(i) for i in [0, n), in contiguous runs per thread. `body` must not throw.
template <class Body>
void ParallelFor(int64_t n, const Body& body) {
  if (n <= 1) {  // even a region of one thread costs 0.3 us
    if (n == 1) body(int64_t{0});
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < n; ++i) body(i);
}

// Calls body(begin, end) for consecutive blocks of at most `block` of the n items.
template <class Body>
void ParallelBlocks(int64_t n, int64_t block, const Body& body) {
  const int64_t blocks = (n + block - 1) / block;
  ParallelFor(blocks, [&](int64_t b) { body(b * block, b * block + block < n ? b * block + block : n); });
}

}  // namespace flashlm
