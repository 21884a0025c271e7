#include "kernels/rope/rope.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"

namespace flashlm::kernels {

double RopeFrequency(Rope rope, int head_dim, int pair, double base) {
  const bool partial = rope == Rope::kPartial;
  if (partial && pair >= head_dim / 4) return 0;
  return std::pow(base, (partial ? -4.0 : -2.0) * pair / head_dim);
}

RopeTable& RopeTable::For(int head_dim, Rope rope, double base) {
  static std::mutex mutex;
  // Which channels are a pair is not the table's business.
  static std::map<std::tuple<int, bool, double>, RopeTable> tables;
  const bool partial = rope == Rope::kPartial;
  const std::lock_guard lock(mutex);
  return tables.try_emplace({head_dim, partial, base}, head_dim, partial ? rope : Rope::kHalf, base).first->second;
}

RopeTable::RopeTable(int head_dim, Rope rope, double base) : head_dim_(head_dim) {
  FLASHLM_CHECK(head_dim > 0 && head_dim % 2 == 0, "rotary positions turn pairs; the head width {} is not even",
                head_dim);
  frequencies_ = std::make_unique<double[]>(head_dim / 2);
  for (int i = 0; i < head_dim / 2; ++i) frequencies_[i] = RopeFrequency(rope, head_dim, i, base);
}

void RopeTable::Prepare(int64_t end) {
  if (end <= 0) return;
  const int last = std::min(SegmentOf(end - 1), kSegments - 1);
  if (ready_[last].load(std::memory_order_acquire) != nullptr) return;
  const std::lock_guard lock(growing_);
  for (int segment = 0; segment <= last; ++segment) {
    if (segments_[segment] != nullptr) continue;
    const int64_t begin = SegmentBegin(segment), rows = SegmentBegin(segment + 1) - begin;
    segments_[segment] = std::make_unique<float[]>(rows * head_dim_);
    for (int64_t r = 0; r < rows; ++r) ComputeRow(begin + r, segments_[segment].get() + r * head_dim_);
    ready_[segment].store(segments_[segment].get(), std::memory_order_release);
  }
}

const float* RopeTable::ComputeRow(int64_t position, float* row) const {
  const int half = head_dim_ / 2;
  for (int i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * frequencies_[i];
    row[i] = static_cast<float>(std::cos(angle));
    row[half + i] = static_cast<float>(std::sin(angle));
  }
  return row;
}

}  // namespace flashlm::kernels
