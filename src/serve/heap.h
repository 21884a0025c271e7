// Memory of a process that serves for days.
#pragma once

#include <malloc.h>

namespace flashlm {

// What texts remember comes and goes, and is begun by one thread and let go by another: kept in heaps it would leave
// holes in them, and memory would wander for minutes (docs/lab-book/2026-11-serving.md). Before the first thread.
inline void ShareOneHeap() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
}

}  // namespace flashlm
