// What a stream of tokens has behind it: one slot of floats per sequence-mixing operation, and the position. A value:
// copying it forks the stream. Training has none (every sequence starts empty and its end is dropped).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flashlm {

class State {
 public:
  // `rows` independent streams that advance together, all at position 0 with empty memory.
  explicit State(int rows = 1) : positions_(static_cast<size_t>(rows), 0) {}

  int rows() const { return static_cast<int>(positions_.size()); }
  int64_t position(int row) const { return positions_[static_cast<size_t>(row)]; }
  const int64_t* positions() const { return positions_.data(); }
  void Advance(int tokens) {
    for (int64_t& position : positions_) position += tokens;
  }

  // Slot `index` of all rows, row b at offset b * floats_per_row; created as zeros at the first use.
  float* Slot(int index, int64_t floats_per_row) {
    if (static_cast<size_t>(index) >= slots_.size()) slots_.resize(static_cast<size_t>(index) + 1);
    std::vector<float>& slot = slots_[static_cast<size_t>(index)];
    if (slot.empty()) slot.assign(static_cast<size_t>(floats_per_row * rows()), 0.0f);
    return slot.data();
  }

  // Forgets everything, keeping the memory.
  void Reset() {
    for (int64_t& position : positions_) position = 0;
    for (auto& slot : slots_) slot.assign(slot.size(), 0.0f);
  }

  // The same of one stream.
  void ResetRow(int row) {
    positions_[static_cast<size_t>(row)] = 0;
    for (auto& slot : slots_) {
      const auto floats = static_cast<int64_t>(slot.size() / positions_.size());  // of a row
      std::fill_n(slot.begin() + row * floats, floats, 0.0f);
    }
  }

  int64_t Bytes() const {
    int64_t bytes = 0;
    for (const auto& slot : slots_) bytes += static_cast<int64_t>(slot.size() * sizeof(float));
    return bytes;
  }

 private:
  std::vector<int64_t> positions_;
  std::vector<std::vector<float>> slots_;
};

}  // namespace flashlm
