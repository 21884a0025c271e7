// What the writer and the reader of packed models share: the header, and how long things are.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "io/packed_file.h"

namespace flashlm::packed {

inline constexpr char kMagic[] = "FLMMODEL";  // 8 bytes
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlignment = 64;
// The header: magic, uint32 version, uint32 alignment, uint64 bytes of the table, uint64 bytes of the file, zeros, and
// from kChecksumAt on the SHA-256 of all that follows the header, as 64 hexadecimal digits.
constexpr uint64_t kHeader = 128, kChecksumAt = 64;
constexpr uint64_t kMaxTable = uint64_t{4} << 20;  // bytes
constexpr int kTritsPerByte = 5;                   // 3^5 = 243

inline uint64_t Aligned(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// Scales in front of a parameter's values.
inline uint64_t ScalesOf(Packing packing, uint64_t rows) {
  return packing == Packing::kTernary ? 1 : packing == Packing::kInt8 || packing == Packing::kTernaryRows ? rows : 0;
}

// Bytes of a parameter [rows, size / rows]; size at most 2^48.
inline uint64_t BytesOf(Packing packing, uint64_t rows, uint64_t size) {
  const uint64_t scales = 4 * ScalesOf(packing, rows);
  switch (packing) {
    case Packing::kF32:
      return 4 * size;
    case Packing::kBF16:
      return 2 * size;
    case Packing::kInt8:
      return scales + size;
    case Packing::kTernary:
    case Packing::kTernaryRows:
      return scales + (size + kTritsPerByte - 1) / kTritsPerByte;
    case Packing::kBytes:
      break;
  }
  return 0;
}

inline constexpr std::array kPackings = {Packing::kBytes, Packing::kF32,     Packing::kBF16,
                                         Packing::kInt8,  Packing::kTernary, Packing::kTernaryRows};

}  // namespace flashlm::packed
