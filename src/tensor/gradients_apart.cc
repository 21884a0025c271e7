#include "tensor/gradients_apart.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/vector/vector.h"

namespace flashlm {
namespace {

void Move(float* from, float* to, int64_t n) {
  kernels::Axpby(1, from, 1, to, n);
  std::fill_n(from, n, 0.0f);
}

}  // namespace

GradientsApart::GradientsApart(const ParamBank& bank) : gradients_(AllocateZeroed(bank.size())) {}

bool GradientsApart::IsWhole(int64_t begin, int64_t end) const {
  const auto after = std::upper_bound(whole_.begin(), whole_.end(), begin,
                                      [](int64_t at, const Range& range) { return at < range.begin; });
  return after != whole_.begin() && std::prev(after)->end >= end;
}

float* GradientsApart::Of(const Param& p) {
  Range range{p.offset, p.offset + int64_t{p.rows} * p.cols};
  if (!IsWhole(range.begin, range.end)) {
    // One range in place of all that it meets.
    const auto meets = [&](const Range& other) { return other.begin <= range.end && range.begin <= other.end; };
    for (const Range& other : whole_) {
      if (meets(other)) range = {std::min(range.begin, other.begin), std::max(range.end, other.end)};
    }
    whole_.erase(std::remove_if(whole_.begin(), whole_.end(), meets), whole_.end());
    whole_.insert(
        std::find_if(whole_.begin(), whole_.end(), [&](const Range& other) { return other.begin > range.begin; }),
        range);
  }
  return gradients_.get() + p.offset;
}

float* GradientsApart::OfRows(const Param& p, const int32_t* rows, int64_t n) {
  if (!IsWhole(p.offset, p.offset + int64_t{p.rows} * p.cols)) {
    rows_.push_back({p.offset, p.cols, places_.size(), places_.size() + static_cast<size_t>(n)});
    places_.insert(places_.end(), rows, rows + n);
  }
  return gradients_.get() + p.offset;
}

void GradientsApart::MoveTo(ParamBank& bank) {
  float* const from = gradients_.get();
  float* const to = bank.gradients();
  constexpr int64_t kBlock = 1 << 14;
  for (const Range& range : whole_) {
    ParallelBlocks(range.end - range.begin, kBlock, [&](int64_t begin, int64_t end) {
      Move(from + range.begin + begin, to + range.begin + begin, end - begin);
    });
  }
  // A row may be named more than once, by one pass or several, and then is zero after the first time: always the same
  // piece has it.
  constexpr int64_t kPieces = 16;
  ParallelFor(rows_.empty() ? 0 : kPieces, [&](int64_t piece) {
    for (const Rows& rows : rows_) {
      for (size_t i = rows.begin; i < rows.end; ++i) {
        if (places_[i] % kPieces != piece) continue;
        const int64_t offset = rows.offset + int64_t{places_[i]} * rows.cols;
        Move(from + offset, to + offset, rows.cols);
      }
    }
  });
  rows_.clear();
  places_.clear();
}

}  // namespace flashlm
