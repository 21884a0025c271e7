#include "tensor/init.h"

#include <algorithm>

#include "base/rng.h"

namespace flashlm {
namespace {

// FNV-1a: the stream of a parameter depends on its name alone.
uint64_t HashName(const std::string& name) {
  uint64_t hash = 1469598103934665603ull;
  for (unsigned char c : name) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

}  // namespace

void Draw(const Init& init, uint64_t seed, const std::string& name, float* values, int64_t size) {
  switch (init.kind) {
    case Init::Kind::kZero:
      std::fill_n(values, size, 0.0f);
      break;
    case Init::Kind::kConstant:
      std::fill_n(values, size, init.value);
      break;
    case Init::Kind::kNormal: {
      Rng rng(seed, Purpose::kInit, HashName(name));
      for (int64_t i = 0; i < size; ++i) values[i] = init.value * rng.Normal();
      break;
    }
  }
}

}  // namespace flashlm
