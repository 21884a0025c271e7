// How the delta memory cuts its work: chunks of tokens, padded matrices, scratch per thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hwy/aligned_allocator.h"

namespace flashlm::kernels {

// Sizes inside a chunk are multiples of the longest vector (16 floats of AVX-512), the rest is zero: the
// inner loops then have no partial vectors, whatever M and T are.
constexpr size_t kDeltaAlign = 16;
constexpr size_t DeltaPadded(size_t n) { return (n + kDeltaAlign - 1) / kDeltaAlign * kDeltaAlign; }

// Tokens per chunk. Products with the state cost 1 / vector width per token and element of S, those inside a
// chunk grow with its length, and the states kept for the gradient shrink with it.
constexpr size_t DeltaChunk(size_t mem_dim) { return mem_dim <= 32 ? 16 : 32; }

// A chunk costs the same however few of its tokens are real; the recurrence costs about 1.2 times as much per
// token.
constexpr bool DeltaByTokens(size_t length, size_t mem_dim) { return 3 * length < 2 * DeltaChunk(mem_dim); }

// Heads per parallel block, so that a block is worth waking a thread for; decoding one token is not.
constexpr int64_t DeltaBlock(size_t length, size_t mem_dim) {
  const size_t work = length * mem_dim * mem_dim + 1;
  return static_cast<int64_t>(work < (1u << 17) ? (1u << 17) / work : 1);
}

// Hands out pieces of one buffer; with a null buffer it only counts.
struct Pieces {
  float* base = nullptr;
  size_t used = 0;

  float* Take(size_t floats) {
    float* piece = base ? base + used : nullptr;
    used += DeltaPadded(floats);
    return piece;
  }
};

// Buffers(tokens, mem_dim, pieces) of the calling thread. Their memory is kept between calls, their contents
// are not.
template <class Buffers>
Buffers ThreadBuffers(size_t tokens, size_t mem_dim) {
  thread_local hwy::AlignedFreeUniquePtr<float[]> memory;
  thread_local size_t capacity = 0;
  Pieces count;
  Buffers(tokens, mem_dim, count);
  if (count.used > capacity) {
    memory = hwy::AllocateAligned<float>(count.used);
    capacity = count.used;
  }
  Pieces pieces{memory.get()};
  return Buffers(tokens, mem_dim, pieces);
}

}  // namespace flashlm::kernels
