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

// Tokens per chunk. Products with the state cost the same per token whatever the chunk, those inside a chunk
// grow with its length, and the states kept for the gradient (M * M floats per chunk and head) shrink with
// it. Measured in us per token with 4 heads, bf16, one Zen 4 core at 3.7 GHz with AVX-512: forward /
// backward, the smallest of 1,500 runs of 256 tokens (for the recurrence, of 7).
//                       chunk 16      chunk 32      chunk 64      recurrence, forward
//   M = 32  linear    0.36 / 0.80   0.40 / 0.86                   0.60
//   M = 32  delta     0.53 / 1.27   0.59 / 1.42                   0.60
//   M = 64  linear    1.08 / 2.28   1.05 / 2.27   1.18 / 2.59     1.73
//   M = 64  delta     1.52 / 3.62   1.54 / 3.75   1.82 / 4.47     1.73
// M = 64 takes 32 for its kept states: half the 4 KB per token of chunks of 16.
constexpr size_t DeltaChunk(size_t mem_dim) { return mem_dim <= 32 ? 16 : 32; }

// A chunk costs the same however few of its tokens are real, the recurrence nothing but its tokens.
constexpr bool DeltaByTokens(size_t length, size_t mem_dim) { return 3 * length < 2 * DeltaChunk(mem_dim); }

// Heads per parallel block, so that a block is worth waking a thread for; decoding one token is not.
constexpr int64_t DeltaBlock(size_t length, size_t mem_dim) {
  constexpr size_t kWorthAThread = 1u << 15;
  const size_t work = length * mem_dim * mem_dim + 1;
  return static_cast<int64_t>(work < kWorthAThread ? kWorthAThread / work : 1);
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
