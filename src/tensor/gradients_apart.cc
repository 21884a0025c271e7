#include "tensor/gradients_apart.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/vector/vector.h"

namespace flashlm {

GradientsApart::GradientsApart(const ParamBank& bank, std::vector<int64_t> cuts)
    : gradients_(AllocateZeroed(bank.size())) {
  for (size_t i = 0; i + 1 < cuts.size(); ++i) parts_.push_back({{cuts[i], cuts[i + 1]}});
}

bool GradientsApart::Part::IsWhole(Range some) const {
  const auto after = std::upper_bound(whole.begin(), whole.end(), some.begin,
                                      [](int64_t at, const Range& other) { return at < other.begin; });
  return after != whole.begin() && std::prev(after)->end >= some.end;
}

// One range in place of all that it meets.
void GradientsApart::Part::MakeWhole(Range some) {
  if (IsWhole(some)) return;
  const auto meets = [&](const Range& other) { return other.begin <= some.end && some.begin <= other.end; };
  for (const Range& other : whole) {
    if (meets(other)) some = {std::min(some.begin, other.begin), std::max(some.end, other.end)};
  }
  whole.erase(std::remove_if(whole.begin(), whole.end(), meets), whole.end());
  whole.insert(std::find_if(whole.begin(), whole.end(), [&](const Range& other) { return other.begin > some.begin; }),
               some);
}

void GradientsApart::Part::AddRows(int64_t offset, int32_t cols, const int32_t* some, size_t n) {
  const size_t begin = places.size();
  std::copy_if(some, some + n, std::back_inserter(places), [&](int32_t row) {
    const int64_t at = offset + int64_t{row} * cols;
    return at < range.end && range.begin < at + cols;
  });
  if (places.size() > begin) rows.push_back({offset, cols, begin, places.size()});
}

template <class Use>
void GradientsApart::ForPartsOf(const Param& p, const Use& use) {
  const int64_t end = p.offset + int64_t{p.rows} * p.cols;
  for (Part& part : parts_) {
    const Range some{std::max(p.offset, part.range.begin), std::min(end, part.range.end)};
    if (some.count() > 0) use(part, some);
  }
}

float* GradientsApart::Of(const Param& p) {
  ForPartsOf(p, [](Part& part, Range some) { part.MakeWhole(some); });
  return gradients_.get() + p.offset;
}

float* GradientsApart::OfRows(const Param& p, const int32_t* rows, int64_t n) {
  ForPartsOf(p, [&](Part& part, Range some) {
    if (!part.IsWhole(some)) part.AddRows(p.offset, p.cols, rows, static_cast<size_t>(n));
  });
  return gradients_.get() + p.offset;
}

template <class Take>
void GradientsApart::TakeAll(Part& part, const Take& take) {
  constexpr int64_t kBlock = 1 << 14;
  for (const Range& whole : part.whole) {
    ParallelBlocks(whole.count(), kBlock, [&](int64_t begin, int64_t end) { take(whole.begin + begin, end - begin); });
  }
  // A row may be named more than once, by one pass or several, and then is zero after the first time: always the same
  // piece has it.
  constexpr int64_t kPieces = 16;
  ParallelFor(part.rows.empty() ? 0 : kPieces, [&](int64_t piece) {
    for (const Rows& rows : part.rows) {
      for (size_t i = rows.begin; i < rows.end; ++i) {
        if (part.places[i] % kPieces != piece) continue;
        const int64_t at = rows.offset + int64_t{part.places[i]} * rows.cols;
        const int64_t begin = std::max(at, part.range.begin), end = std::min(at + rows.cols, part.range.end);
        take(begin, end - begin);
      }
    }
  });
  part.rows.clear();
  part.places.clear();
}

void GradientsApart::AddTo(float* to, Part& part) {
  float* const from = gradients_.get();
  TakeAll(part, [=](int64_t at, int64_t n) {
    kernels::Axpby(1, from + at, 1, to + at, n);
    std::fill_n(from + at, n, 0.0f);
  });
}

void GradientsApart::MoveTo(ParamBank& bank, int part) { AddTo(bank.gradients(), parts_[static_cast<size_t>(part)]); }

void GradientsApart::MoveTo(GradientsApart& other, int part) {
  Part &from = parts_[static_cast<size_t>(part)], &to = other.parts_[static_cast<size_t>(part)];
  for (const Range& whole : from.whole) to.MakeWhole(whole);
  for (const Rows& rows : from.rows) {
    to.AddRows(rows.offset, rows.cols, from.places.data() + rows.begin, rows.end - rows.begin);
  }
  AddTo(other.gradients_.get(), from);
}

void GradientsApart::Clear() {
  float* const gradients = gradients_.get();
  for (Part& part : parts_) {
    TakeAll(part, [=](int64_t at, int64_t n) { std::fill_n(gradients + at, n, 0.0f); });
  }
}

}  // namespace flashlm
