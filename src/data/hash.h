// A fast 64-bit hash for finding equal documents and damaged shards (multiply-and-fold, as in wyhash): about
// 5 GB/s on one core. Not for adversaries; files that people exchange carry SHA-256 as well.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/rng.h"

namespace flashlm {

inline uint64_t MultiplyFold(uint64_t a, uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// `seed` chains calls: Hash64(b, Hash64(a)) depends on both pieces and where they were cut.
inline uint64_t Hash64(std::string_view bytes, uint64_t seed = 0) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15ull;
  uint64_t hash = MultiplyFold(seed ^ kOdd, bytes.size() ^ 0xBF58476D1CE4E5B9ull);
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t n = bytes.size() < 8 ? bytes.size() : 8;
    std::memcpy(&word, bytes.data(), n);
    hash = MultiplyFold(hash ^ word, kOdd) + word;
    bytes.remove_prefix(n);
  }
  return MultiplyFold(hash, 0x94D049BB133111EBull);
}

}  // namespace flashlm
