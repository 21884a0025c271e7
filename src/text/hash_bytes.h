// A fast hash of short byte strings for the tables of this room; not for hostile keys in long-lived maps.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace flashlm {

inline uint64_t HashBytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ull;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = left * kMultiplier;
  uint64_t chunk = 0;
  for (; left >= 8; left -= 8, at += 8) {
    std::memcpy(&chunk, at, 8);
    hash = (hash ^ chunk) * kMultiplier;
    hash ^= hash >> 32;
  }
  // The last 0..7 bytes by fixed-size loads, which may overlap: a memcpy of `left` bytes would be a call.
  chunk = 0;
  if (left >= 4) {
    uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    chunk = static_cast<uint64_t>(high) << 32 | low;
  } else if (left > 0) {
    chunk = static_cast<uint64_t>(static_cast<uint8_t>(at[0])) << 16 |
            static_cast<uint64_t>(static_cast<uint8_t>(at[left / 2])) << 8 | static_cast<uint8_t>(at[left - 1]);
  }
  hash = (hash ^ chunk) * kMultiplier;
  return hash ^ (hash >> 32);
}

}  // namespace flashlm
