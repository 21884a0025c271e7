#include "tensor/gradients_apart.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/vector/vector.h"

namespace flashlm {

GradientsApart::GradientsApart(const ParamBank& bank) : gradients_(AllocateZeroed(bank.size())) {}

bool GradientsApart::IsWhole(int64_t begin, int64_t end) const {
  const auto after = std::upper_bound(whole_.begin(), whole_.end(), begin,
                                      [](int64_t at, const Range& range) { return at < range.begin; });
  return after != whole_.begin() && std::prev(after)->end >= end;
}

// One range in place of all that it meets.
void GradientsApart::MakeWhole(Range range) {
  if (IsWhole(range.begin, range.end)) return;
  const auto meets = [&](const Range& other) { return other.begin <= range.end && range.begin <= other.end; };
  for (const Range& other : whole_) {
    if (meets(other)) range = {std::min(range.begin, other.begin), std::max(range.end, other.end)};
  }
  whole_.erase(std::remove_if(whole_.begin(), whole_.end(), meets), whole_.end());
  whole_.insert(
      std::find_if(whole_.begin(), whole_.end(), [&](const Range& other) { return other.begin > range.begin; }), range);
}

void GradientsApart::AddRows(int64_t offset, int32_t cols, const int32_t* rows, size_t n) {
  rows_.push_back({offset, cols, places_.size(), places_.size() + n});
  places_.insert(places_.end(), rows, rows + n);
}

float* GradientsApart::Of(const Param& p) {
  MakeWhole({p.offset, p.offset + int64_t{p.rows} * p.cols});
  return gradients_.get() + p.offset;
}

float* GradientsApart::OfRows(const Param& p, const int32_t* rows, int64_t n) {
  if (!IsWhole(p.offset, p.offset + int64_t{p.rows} * p.cols)) {
    AddRows(p.offset, p.cols, rows, static_cast<size_t>(n));
  }
  return gradients_.get() + p.offset;
}

template <class Take>
void GradientsApart::TakeAll(const Take& take) {
  constexpr int64_t kBlock = 1 << 14;
  for (const Range& range : whole_) {
    ParallelBlocks(range.end - range.begin, kBlock,
                   [&](int64_t begin, int64_t end) { take(range.begin + begin, end - begin); });
  }
  // A row may be named more than once, by one pass or several, and then is zero after the first time: always the same
  // piece has it.
  constexpr int64_t kPieces = 16;
  ParallelFor(rows_.empty() ? 0 : kPieces, [&](int64_t piece) {
    for (const Rows& rows : rows_) {
      for (size_t i = rows.begin; i < rows.end; ++i) {
        if (places_[i] % kPieces == piece) take(rows.offset + int64_t{places_[i]} * rows.cols, int64_t{rows.cols});
      }
    }
  });
  rows_.clear();
  places_.clear();
}

void GradientsApart::AddTo(float* to) {
  float* const from = gradients_.get();
  TakeAll([=](int64_t at, int64_t n) {
    kernels::Axpby(1, from + at, 1, to + at, n);
    std::fill_n(from + at, n, 0.0f);
  });
}

void GradientsApart::MoveTo(ParamBank& bank) { AddTo(bank.gradients()); }

void GradientsApart::MoveTo(GradientsApart& other) {
  for (const Range& range : whole_) other.MakeWhole(range);
  for (const Rows& rows : rows_) {
    other.AddRows(rows.offset, rows.cols, places_.data() + rows.begin, rows.end - rows.begin);
  }
  AddTo(other.gradients_.get());
}

void GradientsApart::Clear() {
  float* const gradients = gradients_.get();
  TakeAll([=](int64_t at, int64_t n) { std::fill_n(gradients + at, n, 0.0f); });
}

}  // namespace flashlm
