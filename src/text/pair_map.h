// A map from a pair of token ids to a 32-bit value: open addressing with linear probing, at most half full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace flashlm {

class PairMap {
 public:
  static constexpr uint32_t kMissing = ~0u;

  static uint32_t Key(uint16_t left, uint16_t right) { return static_cast<uint32_t>(left) << 16 | right; }

  // The value of `key`, or kMissing.
  uint32_t Find(uint32_t key) const { return slots_[SlotOf(key)].value; }

  // The value of `key`; inserts `value` (not kMissing) first if there is none.
  uint32_t FindOrInsert(uint32_t key, uint32_t value) {
    size_t slot = SlotOf(key);
    if (slots_[slot].value != kMissing) return slots_[slot].value;
    if (2 * (size_ + 1) > slots_.size()) {
      Grow();
      slot = SlotOf(key);
    }
    slots_[slot] = {key, value};
    ++size_;
    return value;
  }

 private:
  struct Slot {
    uint32_t key = 0;
    uint32_t value = kMissing;
  };

  size_t SlotOf(uint32_t key) const {
    size_t slot = (key * 0x9E3779B97F4A7C15ull) >> shift_;
    while (slots_[slot].value != kMissing && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }

  void Grow() {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
    --shift_;
    for (const Slot& slot : old) {
      if (slot.value != kMissing) slots_[SlotOf(slot.key)] = slot;
    }
  }

  int shift_ = 64 - 10;
  std::vector<Slot> slots_ = std::vector<Slot>(size_t{1} << 10);
  size_t size_ = 0;
};

}  // namespace flashlm
