#include "cluster/gradient_exchange.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"

namespace flashlm {
namespace {

constexpr int64_t kChunk = 1024;  // floats that are summed at a time, with their stack in the nearest cache
constexpr int kDeepest = 16;

void Round(const float* from, int64_t n, BFloat16* to) {
  ParallelBlocks(n, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = ToBFloat16(from[i]);
  });
}

}  // namespace

GradientExchange::GradientExchange(Ranks& ranks, std::vector<int64_t> cuts, int64_t block, DType type)
    : ranks_(ranks), cuts_(std::move(cuts)), block_(block), type_(type) {}

GradientExchange::Segment GradientExchange::UpdatedBy(int rank) const {
  return {cuts_[static_cast<size_t>(rank)], cuts_[static_cast<size_t>(rank) + 1]};
}

GradientExchange::Segment GradientExchange::SummedBy(int rank) const {
  const Segment own = UpdatedBy(rank);
  if (own.count() == 0) return own;
  return {own.begin / block_ * block_, std::min(cuts_.back(), (own.end + block_ - 1) / block_ * block_)};
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
  const int depth = SumOrder(leaves, blocks_, order_);
  FLASHLM_CHECK(depth <= kDeepest, "a tree of {} leaves", leaves);
  sources_.resize(blocks_.size());
  const size_t segment = static_cast<size_t>(SummedBy(ranks_.rank()).count()) * blocks_.size();
  if (type_ == DType::kBF16) {
    const auto rank = static_cast<size_t>(ranks_.rank());
    halves_.resize(segment);
    own_halves_.resize((first_block_[rank + 1] - first_block_[rank]) * static_cast<size_t>(cuts_.back()));
  } else {
    floats_.resize(segment);
  }
}

void GradientExchange::ReceiveBlocks() {
  const auto count = static_cast<size_t>(SummedBy(ranks_.rank()).count());
  for (int peer = 0; peer < ranks_.size(); ++peer) {
    if (peer == ranks_.rank()) continue;
    for (size_t b = first_block_[static_cast<size_t>(peer)]; b < first_block_[static_cast<size_t>(peer) + 1]; ++b) {
      if (type_ == DType::kBF16) {
        sources_[b] = {nullptr, halves_.data() + b * count};
        ranks_.Receive(peer, halves_.data() + b * count, count * sizeof(BFloat16));
      } else {
        sources_[b] = {floats_.data() + b * count, nullptr};
        ranks_.Receive(peer, floats_.data() + b * count, count * sizeof(float));
      }
    }
  }
}

void GradientExchange::SendBlocks(std::span<const GradientBlock> own) {
  const Segment segment = SummedBy(ranks_.rank());
  for (size_t i = 0; i < own.size(); ++i) {
    const float* const sum = own[i].sum;
    BFloat16* const halves = own_halves_.data() + i * static_cast<size_t>(cuts_.back());
    Source& source = sources_[first_block_[static_cast<size_t>(ranks_.rank())] + i];
    if (type_ == DType::kBF16) {
      Round(sum, cuts_.back(), halves);
      source = {nullptr, halves + segment.begin};
    } else {
      source = {sum + segment.begin, nullptr};
    }
    for (int peer = 0; peer < ranks_.size(); ++peer) {
      if (peer == ranks_.rank()) continue;
      const Segment to = SummedBy(peer);
      const void* data = type_ == DType::kBF16 ? static_cast<const void*>(halves + to.begin) : sum + to.begin;
      ranks_.Send(peer, data, static_cast<size_t>(to.count()) * SizeOf(type_));
    }
  }
}

void GradientExchange::SumSegment(float* result) {
  const Segment segment = SummedBy(ranks_.rank());
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

void GradientExchange::Sum(int leaves, std::span<const GradientBlock> own, float* result) {
  Plan(leaves);
  ReceiveBlocks();
  SendBlocks(own);
  ranks_.Wait();
  SumSegment(result);
}

void GradientExchange::BeginUpdate(const float* values) {
  if (type_ != DType::kBF16) return;
  const Segment own = UpdatedBy(ranks_.rank());
  before_.assign(values + own.begin, values + own.end);
}

void GradientExchange::ExchangeParts(void* all) {
  ranks_.ShareParts(all, [this](int rank) {
    const Segment part = UpdatedBy(rank);
    const size_t width = SizeOf(type_);
    return Ranks::Part{static_cast<size_t>(part.begin) * width, static_cast<size_t>(part.count()) * width};
  });
}

void GradientExchange::ShareValues(float* values) {
  if (type_ != DType::kBF16) return ExchangeParts(values);
  const Segment own = UpdatedBy(ranks_.rank());
  changes_.resize(static_cast<size_t>(cuts_.back()));
  float* const part = values + own.begin;
  for (int64_t i = 0; i < own.count(); ++i) {
    const float before = before_[static_cast<size_t>(i)];
    changes_[static_cast<size_t>(own.begin + i)] = ToBFloat16(part[i] - before);
    part[i] = before;
  }
  ExchangeParts(changes_.data());
  ParallelBlocks(cuts_.back(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) values[i] += ToFloat(changes_[static_cast<size_t>(i)]);
  });
}

}  // namespace flashlm
