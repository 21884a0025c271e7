// Element types of tensors and kernels.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace flashlm {

enum class DType : uint8_t { kF32, kBF16, kI32, kI8 };

constexpr size_t SizeOf(DType type) { return type == DType::kBF16 ? 2 : type == DType::kI8 ? 1 : 4; }
constexpr const char* NameOf(DType type) {
  return type == DType::kF32 ? "f32" : type == DType::kBF16 ? "bf16" : type == DType::kI32 ? "int32" : "int8";
}

// bfloat16: the upper half of a float. Conversion rounds to nearest even; NaN stays NaN.
struct BFloat16 {
  uint16_t bits;
};

inline float ToFloat(BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
inline float ToFloat(float value) { return value; }

inline BFloat16 ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

template <class T>
T FromFloat(float value) {
  if constexpr (sizeof(T) == 2) {
    return ToBFloat16(value);
  } else {
    return value;
  }
}

}  // namespace flashlm
