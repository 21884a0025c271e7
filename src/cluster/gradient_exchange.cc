#include "cluster/gradient_exchange.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/parallel.h"

namespace flashlm {
namespace {

constexpr int64_t kLine = 16;     // floats; segments begin where a cache line does
constexpr int64_t kChunk = 1024;  // floats that are summed at a time, with their stack in the nearest cache
constexpr int kDeepest = 16;

void Round(const float* from, int64_t n, BFloat16* to) {
  ParallelBlocks(n, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = ToBFloat16(from[i]);
  });
}

void Widen(const BFloat16* from, int64_t n, float* to) {
  ParallelBlocks(n, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = ToFloat(from[i]);
  });
}

}  // namespace

GradientExchange::GradientExchange(Ranks& ranks, int64_t size, DType type) : ranks_(ranks), size_(size), type_(type) {}

GradientExchange::Segment GradientExchange::SegmentOf(int rank) const {
  const int64_t lines = (size_ + kLine - 1) / kLine;
  const auto at = [&](int r) { return std::min(size_, lines * r / ranks_.size() * kLine); };
  return {at(rank), at(rank + 1)};
}

void GradientExchange::Plan(int leaves) {
  if (leaves == planned_) return;
  planned_ = leaves;
  blocks_.clear();
  first_block_.assign(1, 0);
  std::vector<LeafRange> nodes;
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    NodesWithin(leaves, ShareOf(leaves, rank, ranks_.size()), nodes);
    blocks_.insert(blocks_.end(), nodes.begin(), nodes.end());
    first_block_.push_back(blocks_.size());
  }
  depth_ = SumOrder(leaves, blocks_, order_);
  FLASHLM_CHECK(depth_ <= kDeepest, "a tree of {} leaves", leaves);
  sources_.resize(blocks_.size());
  const size_t segment = static_cast<size_t>(SegmentOf(ranks_.rank()).count()) * blocks_.size();
  if (type_ == DType::kBF16) {
    const auto rank = static_cast<size_t>(ranks_.rank());
    halves_.resize(std::max(segment, static_cast<size_t>(size_)));
    own_halves_.resize((first_block_[rank + 1] - first_block_[rank]) * static_cast<size_t>(size_));
  } else {
    floats_.resize(segment);
  }
}

void GradientExchange::SendBlocks(std::span<const GradientBlock> own) {
  const auto rank = static_cast<size_t>(ranks_.rank());
  const Segment segment = SegmentOf(ranks_.rank());
  for (size_t peer = 0; peer + 1 < first_block_.size(); ++peer) {
    for (size_t b = first_block_[peer]; b < first_block_[peer + 1]; ++b) {
      const size_t at = b * static_cast<size_t>(segment.count());
      if (type_ == DType::kBF16) {
        sources_[b] = {nullptr, halves_.data() + at};
      } else {
        sources_[b] = {floats_.data() + at, nullptr};
      }
      if (peer == rank) continue;
      void* to = type_ == DType::kBF16 ? static_cast<void*>(halves_.data() + at) : floats_.data() + at;
      ranks_.Receive(static_cast<int>(peer), to, static_cast<size_t>(segment.count()) * SizeOf(type_));
    }
  }
  for (size_t i = 0; i < own.size(); ++i) {
    const float* sum = own[i].sum;
    BFloat16* halves = own_halves_.data() + i * static_cast<size_t>(size_);
    if (type_ == DType::kBF16) Round(sum, size_, halves);
    for (int peer = 0; peer < ranks_.size(); ++peer) {
      const Segment to = SegmentOf(peer);
      Source& source = sources_[first_block_[rank] + i];
      if (type_ == DType::kBF16) {
        source = {nullptr, halves + segment.begin};
      } else {
        source = {sum + segment.begin, nullptr};
      }
      if (peer == ranks_.rank()) continue;
      const void* data = type_ == DType::kBF16 ? static_cast<const void*>(halves + to.begin) : sum + to.begin;
      ranks_.Send(peer, data, static_cast<size_t>(to.count()) * SizeOf(type_));
    }
  }
}

void GradientExchange::SumSegment(float* result) {
  const Segment segment = SegmentOf(ranks_.rank());
  ParallelBlocks(segment.count(), kChunk, [&](int64_t begin, int64_t end) {
    std::array<std::array<float, kChunk>, kDeepest> stack;
    const int64_t n = end - begin;
    size_t top = 0;
    for (const SumOp& op : order_) {
      if (op.block < 0) {
        float* to = stack[top - 2].data();
        const float* from = stack[top - 1].data();
        for (int64_t i = 0; i < n; ++i) to[i] += from[i];
        --top;
        continue;
      }
      const Source& source = sources_[static_cast<size_t>(op.block)];
      float* to = stack[top++].data();
      if (source.floats != nullptr) {
        std::copy_n(source.floats + begin, n, to);
      } else {
        for (int64_t i = 0; i < n; ++i) to[i] = ToFloat(source.halves[begin + i]);
      }
    }
    std::copy_n(stack[0].data(), n, result + segment.begin + begin);
  });
}

void GradientExchange::ShareSegments(float* result) {
  const Segment own = SegmentOf(ranks_.rank());
  const bool halves = type_ == DType::kBF16;
  if (halves) Round(result + own.begin, own.count(), halves_.data() + own.begin);
  const auto at = [&](const Segment& segment) {
    return halves ? static_cast<void*>(halves_.data() + segment.begin) : result + segment.begin;
  };
  const auto bytes = [&](const Segment& segment) { return static_cast<size_t>(segment.count()) * SizeOf(type_); };
  for (int peer = 0; peer < ranks_.size(); ++peer) {
    if (peer == ranks_.rank()) continue;
    const Segment segment = SegmentOf(peer);
    ranks_.Receive(peer, at(segment), bytes(segment));
    ranks_.Send(peer, at(own), bytes(own));
  }
  ranks_.Wait();
  if (halves) Widen(halves_.data(), size_, result);
}

void GradientExchange::Sum(int leaves, std::span<const GradientBlock> own, float* result) {
  Plan(leaves);
  SendBlocks(own);
  ranks_.Wait();
  SumSegment(result);
  ShareSegments(result);
}

}  // namespace flashlm
