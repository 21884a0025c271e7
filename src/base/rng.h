// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
// A number is a pure function of (seed, purpose, step, index), so neither resuming a run nor the number of threads
// changes it.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace flashlm {

// What a stream is for; part of the key, so that no two uses share numbers. Values are part of the resume contract.
enum class Purpose : uint32_t {
  kInit = 1,
  kDropout = 2,
  kDataOrder = 3,
  kSampling = 4,
  kCorpus = 5,
  kRouting = 6,
  kTest = 7,
  kWordDropout = 8,
  kDocumentOrder = 9,
  kRoundedRows = 10,
  kRoundedTokens = 11,
};

struct PhiloxKey {
  uint32_t low, high;
};

inline PhiloxKey MakePhiloxKey(uint64_t seed, Purpose purpose) {
  uint64_t z = seed + 0x9E3779B97F4A7C15ull * (static_cast<uint64_t>(purpose) + 1);  // splitmix64
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return {static_cast<uint32_t>(z), static_cast<uint32_t>(z >> 32)};
}

inline std::array<uint32_t, 4> Philox(PhiloxKey key, std::array<uint32_t, 4> counter) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key.low, static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key.high, static_cast<uint32_t>(a)};
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  return counter;
}

// A sequential reader of one stream (seed, purpose, step). Satisfies UniformRandomBitGenerator.
__extension__ using Uint128 = unsigned __int128;

class Rng {
 public:
  using result_type = uint32_t;

  Rng(uint64_t seed, Purpose purpose, uint64_t step = 0) : key_(MakePhiloxKey(seed, purpose)), step_(step) {}

  static constexpr uint32_t min() { return 0; }
  static constexpr uint32_t max() { return 0xffffffffu; }
  uint32_t operator()() {
    if (used_ == 4) {
      block_ = Philox(key_, {static_cast<uint32_t>(index_), static_cast<uint32_t>(index_ >> 32),
                             static_cast<uint32_t>(step_), static_cast<uint32_t>(step_ >> 32)});
      ++index_;
      used_ = 0;
    }
    return block_[used_++];
  }

  // In [0, 1), 24 bits.
  float Uniform() { return static_cast<float>((*this)() >> 8) * 0x1p-24f; }
  // In [0, 1), 53 bits.
  double UniformDouble() {
    const uint64_t high = (*this)() >> 5, low = (*this)() >> 6;
    return static_cast<double>(high * 67108864u + low) * 0x1p-53;
  }
  // In [0, n), n > 0, without modulo bias worth the name (Lemire's multiply-shift on 64 bits).
  uint64_t Below(uint64_t n) {
    const uint64_t bits = (uint64_t{(*this)()} << 32) | (*this)();
    return static_cast<uint64_t>((static_cast<Uint128>(bits) * n) >> 64);
  }
  // Standard normal (Box-Muller, one value per call).
  float Normal() {
    const double u = 1.0 - UniformDouble(), v = UniformDouble();
    return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v));
  }

 private:
  PhiloxKey key_;
  uint64_t step_;
  uint64_t index_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

// All orders are equally likely (Fisher and Yates, from the last item down).
template <class T>
void ShuffleItems(std::vector<T>& items, Rng& rng) {
  for (size_t left = items.size(); left > 1; --left) std::swap(items[left - 1], items[rng.Below(left)]);
}

}  // namespace flashlm
