// Rotary positions (Su et al., RoFormer, 2021): pair i of a head turns by the angle position * base^(-2i/D), the base
// being 10000 in every model made here. This is the table of angles; rope-inl.h turns vectors by it.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>

namespace flashlm::kernels {

// Which channels are pair i: none, (i, i + D/2), or (2i, 2i + 1). kPartial: pairs as kHalf, of which the first half
// turn, at twice the steps from one frequency to the next, and the others stand still.
enum class Rope : uint8_t { kNone, kHalf, kInterleaved, kPartial };

constexpr double kRopeBase = 10000;

// The angle by which pair i of a head of D channels turns from one position to the next.
double RopeFrequency(Rope rope, int head_dim, int pair, double base = kRopeBase);

// Cosines and sines of every position for one head width D, kind of turning and base. Grows by doubling, in segments
// that never move, so that rows stay valid and reading takes no lock; ends at kEnd positions (D floats each), beyond
// which a row is computed where the caller says. Angles are formed in double: in float, position 65,535 would be off by
// up to 0.004 rad.
class RopeTable {
 public:
  static constexpr int64_t kEnd = 65536;

  // The table of this head width, made at its first use; lives as long as the process. Any thread may ask.
  static RopeTable& For(int head_dim, Rope rope, double base = kRopeBase);

  RopeTable(int head_dim, Rope rope, double base = kRopeBase);

  // Fills the table for positions [0, end), as far as it goes. Call before Row, outside parallel loops.
  void Prepare(int64_t end);
  // D/2 cosines, then D/2 sines. `scratch` holds D floats and is used for positions not prepared.
  const float* Row(int64_t position, float* scratch) const {
    const int segment = SegmentOf(position);
    if (segment >= kSegments) return ComputeRow(position, scratch);
    const float* rows = ready_[segment].load(std::memory_order_acquire);
    if (rows == nullptr) return ComputeRow(position, scratch);
    return rows + (position - SegmentBegin(segment)) * head_dim_;
  }

 private:
  // Segment 0 is [0, 512), segment n >= 1 is [512 * 2^(n-1), 512 * 2^n).
  static constexpr int kSegments = 8;
  static constexpr int64_t kFirst = kEnd >> (kSegments - 1);
  static int SegmentOf(int64_t position) { return std::bit_width(static_cast<uint64_t>(position) / kFirst); }
  static int64_t SegmentBegin(int segment) { return segment == 0 ? 0 : kFirst << (segment - 1); }

  const float* ComputeRow(int64_t position, float* row) const;

  const int head_dim_;
  std::mutex growing_;
  std::array<std::unique_ptr<float[]>, kSegments> segments_;
  std::array<std::atomic<const float*>, kSegments> ready_{};
  std::unique_ptr<double[]> frequencies_;  // [D/2]
};

}  // namespace flashlm::kernels
