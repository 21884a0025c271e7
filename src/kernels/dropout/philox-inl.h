// Dropout factors a group of 64 columns at a time; values as kernels/dropout/ref.h defines them, on every
// target. Included inside kernel files only, after kernels/simd-inl.h.
#if defined(FLASHLM_KERNELS_DROPOUT_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASHLM_KERNELS_DROPOUT_PHILOX_INL_H_
#undef FLASHLM_KERNELS_DROPOUT_PHILOX_INL_H_
#else
#define FLASHLM_KERNELS_DROPOUT_PHILOX_INL_H_
#endif

#include <algorithm>

#include "kernels/dropout/ref.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flashlm::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

// Calls emit(numbers, i) with the 16-bit random numbers (kernels/dropout/ref.h) of columns i on of a group, a vector of
// DU at a time, until all 64 have come.
template <class Emit>
HWY_INLINE void RandomGroup(PhiloxKey key, uint64_t step, int64_t row, int64_t group, const Emit& emit) {
  for (uint32_t block = 0; block < 8; ++block) {
    const auto words = Philox(key, {static_cast<uint32_t>(group) * 8 + block, static_cast<uint32_t>(row),
                                    static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)});
    for (uint32_t word = 0; word < 4; ++word) {
      for (uint32_t half = 0; half < 2; ++half) {
        emit(hn::Set(DU(), words[word] >> (16 * half) & 0xffffu), (word / 2 * 2 + half) * 16 + block * 2 + word % 2);
      }
    }
  }
}

#else

// Every 32-bit word of a Philox block sits in the lower half of a 64-bit lane, where the widening
// multiplication wants it and leaves it; what gathers in the upper halves is never read. This takes 6
// instructions per round, against 12 and more with words packed in 32-bit lanes, for twice the lanes.
template <class Emit>
HWY_INLINE void RandomGroup(PhiloxKey key, uint64_t step, int64_t row, int64_t group, const Emit& emit) {
  const DU du;
  const hn::Repartition<uint64_t, DU> d64;
  const size_t lanes = hn::Lanes(d64);
  const auto multiply = [&](auto v, uint32_t by) { return hn::MulEven(hn::BitCast(du, v), hn::Set(du, by)); };
  const auto high = [&](auto v) { return hn::ShiftRight<32>(v); };
  const auto low_half = hn::Set(du, 0xffffu);
  for (size_t block = 0; block < 8; block += lanes) {
    auto c0 = hn::Iota(d64, static_cast<uint32_t>(group) * 8 + block);
    auto c1 = hn::Set(d64, static_cast<uint32_t>(row));
    auto c2 = hn::Set(d64, static_cast<uint32_t>(step));
    auto c3 = hn::Set(d64, step >> 32);
    PhiloxKey round_key = key;
    for (int round = 0; round < 10; ++round) {
      const auto a = multiply(c0, 0xD2511F53u), b = multiply(c2, 0xCD9E8D57u);
      c0 = hn::Xor3(high(b), c1, hn::Set(d64, round_key.low));
      c2 = hn::Xor3(high(a), c3, hn::Set(d64, round_key.high));
      c1 = b;
      c3 = a;
      round_key.low += 0x9E3779B9u;
      round_key.high += 0xBB67AE85u;
    }
    const auto pair = [&](auto even, auto odd) {
      return hn::OddEven(hn::BitCast(du, hn::ShiftLeft<32>(odd)), hn::BitCast(du, even));
    };
    const auto first = pair(c0, c1), second = pair(c2, c3);
    emit(hn::And(first, low_half), 0 * 16 + block * 2);
    emit(hn::ShiftRight<16>(first), 1 * 16 + block * 2);
    emit(hn::And(second, low_half), 2 * 16 + block * 2);
    emit(hn::ShiftRight<16>(second), 3 * 16 + block * 2);
  }
}

#endif

// Factors (0 or 1/(1 - p)) of a group.
HWY_INLINE void DropoutGroup(const DropoutRule& rule, int64_t row, int64_t group, float* HWY_RESTRICT out) {
  const DF d;
  const DI di;
  const auto below = hn::Set(di, static_cast<int32_t>(rule.threshold) - 1);
  const VF scale = hn::Set(d, rule.scale);
  RandomGroup(rule.key, rule.step, row, group, [&](auto numbers, size_t i) {
    hn::StoreU(hn::IfThenElseZero(hn::RebindMask(d, hn::Gt(hn::BitCast(di, numbers), below)), scale), d, out + i);
  });
}

// out[i] = factor (0 or 1/(1 - p)) of element (row, first + i), for i in [0, n).
HWY_INLINE void DropoutScales(const DropoutRule& rule, int64_t row, int64_t first, int64_t n, float* HWY_RESTRICT out) {
  HWY_ALIGN float group[kDropoutGroup];
  for (int64_t column = first; column < first + n;) {
    const int64_t skip = column % kDropoutGroup;
    const int64_t count = std::min(kDropoutGroup - skip, first + n - column);
    if (count == kDropoutGroup) {
      DropoutGroup(rule, row, column / kDropoutGroup, out);
    } else {
      DropoutGroup(rule, row, column / kDropoutGroup, group);
      std::copy(group + skip, group + skip + count, out);
    }
    out += count;
    column += count;
  }
}

}  // namespace flashlm::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
