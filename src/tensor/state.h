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

  // Streams come and go: those of `other`, a state of the same model, become the last rows of this one. Either may be
  // without slots yet, if nothing was read.
  void Append(const State& other) {
    if (slots_.size() < other.slots_.size()) slots_.resize(other.slots_.size());
    for (size_t i = 0; i < slots_.size(); ++i) {
      const size_t floats = std::max(FloatsPerRow(i), other.FloatsPerRow(i));
      slots_[i].resize(floats * positions_.size(), 0.0f);
      if (other.FloatsPerRow(i) > 0) slots_[i].insert(slots_[i].end(), other.slots_[i].begin(), other.slots_[i].end());
      slots_[i].resize(floats * (positions_.size() + other.positions_.size()), 0.0f);
    }
    positions_.insert(positions_.end(), other.positions_.begin(), other.positions_.end());
  }

  // Room for so many streams, so that those that come are taken in without moving the others.
  void Reserve(int rows) {
    for (size_t i = 0; i < slots_.size(); ++i) slots_[i].reserve(FloatsPerRow(i) * static_cast<size_t>(rows));
  }

  // The stream is gone, and the last row takes its place.
  void Remove(int row) {
    const size_t last = positions_.size() - 1;
    for (size_t i = 0; i < slots_.size(); ++i) {
      const size_t floats = FloatsPerRow(i);
      if (static_cast<size_t>(row) != last) {
        std::copy_n(slots_[i].begin() + static_cast<std::ptrdiff_t>(last * floats), floats,
                    slots_[i].begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(row) * floats));
      }
      slots_[i].resize(last * floats);
    }
    positions_[static_cast<size_t>(row)] = positions_[last];
    positions_.pop_back();
  }

  int64_t Bytes() const {
    int64_t bytes = 0;
    for (const auto& slot : slots_) bytes += static_cast<int64_t>(slot.size() * sizeof(float));
    return bytes;
  }

 private:
  size_t FloatsPerRow(size_t slot) const {
    return slot < slots_.size() && !positions_.empty() ? slots_[slot].size() / positions_.size() : 0;
  }

  std::vector<int64_t> positions_;
  std::vector<std::vector<float>> slots_;
};

}  // namespace flashlm
