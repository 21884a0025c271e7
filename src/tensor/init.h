// How a parameter starts.
#pragma once

#include <cstdint>
#include <string>

namespace flashlm {

struct Init {
  enum class Kind : uint8_t { kZero, kConstant, kNormal } kind = Kind::kZero;
  float value = 0;  // the constant, or the standard deviation
  static Init Zero() { return {}; }
  static Init Constant(float value) { return {Kind::kConstant, value}; }
  static Init Normal(float deviation) { return {Kind::kNormal, deviation}; }
};

// The initial values [size] of the parameter `name`. They depend on the seed and the name alone, so that adding a
// parameter does not change the others.
void Draw(const Init& init, uint64_t seed, const std::string& name, float* values, int64_t size);

}  // namespace flashlm
