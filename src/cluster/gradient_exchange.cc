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
    : ranks_(ranks), cuts_(std::move(cuts)), block_(block), type_(type) {
  AddPieces();
}

void GradientExchange::AddPieces() {
  const auto add = [&](int part, int64_t begin, int64_t end, int to) {
    if (begin < end) pieces_.push_back({part, {begin, end}, to});
  };
  const auto parts = static_cast<int>(cuts_.size()) - 1;
  for (int part = 0; part < parts; ++part) {
    const auto [begin, end] = SegmentOf(part);
    add(part, begin, end, OwnerOf(part));
    // The rest of the block that lies across its begin, for whoever has where that one begins.
    const int64_t block = begin / block_ * block_;
    const auto after = std::upper_bound(cuts_.begin(), cuts_.end(), block);
    const int owner = OwnerOf(static_cast<int>(after - cuts_.begin()) - 1);
    if (owner != OwnerOf(part)) add(part, begin, std::min(block + block_, end), owner);
  }
}

std::vector<GradientExchange::Segment> GradientExchange::UpdatedBy(int rank) const {
  std::vector<Segment> segments;
  for (int part = rank; part + 1 < static_cast<int>(cuts_.size()); part += ranks_.size()) {
    if (SegmentOf(part).count() > 0) segments.push_back(SegmentOf(part));
  }
  return segments;
}

std::vector<GradientExchange::Segment> GradientExchange::SummedBy(int rank) const {
  std::vector<Segment> segments;
  for (const Piece& piece : pieces_) {
    if (piece.to == rank) segments.push_back(piece.floats);
  }
  return segments;
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
  size_t received = 0;
  for (Piece& piece : pieces_) {
    piece.received = received;
    if (piece.to == ranks_.rank()) received += static_cast<size_t>(piece.floats.count()) * blocks_.size();
  }
  const auto rank = static_cast<size_t>(ranks_.rank());
  const size_t own = first_block_[rank + 1] - first_block_[rank];
  own_sums_.resize(own);
  if (type_ == DType::kBF16) {
    halves_.resize(received);
    own_halves_.resize(own * static_cast<size_t>(cuts_.back()));
  } else {
    floats_.resize(received);
  }
}

void GradientExchange::Begin(int leaves) {
  Plan(leaves);
  for (size_t p = 0; p < pieces_.size(); ++p) {
    const Piece& piece = pieces_[p];
    if (piece.to != ranks_.rank()) continue;
    const auto count = static_cast<size_t>(piece.floats.count());
    for (int peer = 0; peer < ranks_.size(); ++peer) {
      if (peer == ranks_.rank()) continue;
      for (size_t b = first_block_[static_cast<size_t>(peer)]; b < first_block_[static_cast<size_t>(peer) + 1]; ++b) {
        const size_t at = piece.received + b * count;
        void* const to = type_ == DType::kBF16 ? static_cast<void*>(halves_.data() + at) : floats_.data() + at;
        ranks_.Receive(peer, to, count * SizeOf(type_), ChannelOf(p));
      }
    }
  }
}

void GradientExchange::Send(int part, std::span<const GradientBlock> own) {
  const auto size = static_cast<size_t>(cuts_.back());
  const auto [begin, end] = SegmentOf(part);
  for (size_t i = 0; type_ == DType::kBF16 && i < own.size(); ++i) {
    Round(own[i].sum + begin, end - begin, own_halves_.data() + i * size + begin);
  }
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < own.size(); ++i) own_sums_[i] = own[i].sum;
  for (size_t p = 0; p < pieces_.size(); ++p) {
    const Piece& piece = pieces_[p];
    if (piece.part != part || piece.to == ranks_.rank()) continue;
    for (size_t i = 0; i < own.size(); ++i) {
      const void* const data = type_ == DType::kBF16
                                   ? static_cast<const void*>(own_halves_.data() + i * size + piece.floats.begin)
                                   : own[i].sum + piece.floats.begin;
      ranks_.Send(piece.to, data, static_cast<size_t>(piece.floats.count()) * SizeOf(type_), ChannelOf(p));
    }
  }
}

void GradientExchange::Progress() {
  constexpr double kShortestPause = 1e-4, kPauses = 9;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || since_progress_.Seconds() < progress_pause_) return;
  const Stopwatch watch;
  ranks_.Progress();
  progress_pause_ = std::max(kShortestPause, kPauses * watch.Seconds());
  since_progress_.Restart();
}

void GradientExchange::SumPiece(const Piece& piece, float* result) {
  const Segment segment = piece.floats;
  const size_t first = first_block_[static_cast<size_t>(ranks_.rank())];
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
      float* const to = stack[top++].data();
      const auto block = static_cast<size_t>(op.block);
      const bool own = first <= block && block < first + own_sums_.size();
      const size_t received = piece.received + block * static_cast<size_t>(segment.count());
      if (type_ == DType::kF32) {
        std::copy_n((own ? own_sums_[block - first] + segment.begin : floats_.data() + received) + begin, n, to);
      } else {
        const BFloat16* const from =
            own ? own_halves_.data() + (block - first) * static_cast<size_t>(cuts_.back()) + segment.begin
                : halves_.data() + received;
        for (int64_t i = 0; i < n; ++i) to[i] = ToFloat(from[begin + i]);
      }
    }
    std::copy_n(stack[0].data(), n, result + segment.begin + begin);
  });
}

void GradientExchange::Finish(float* result) {
  ranks_.Wait();
  for (const Piece& piece : pieces_) {
    if (piece.to == ranks_.rank()) SumPiece(piece, result);
  }
}

void GradientExchange::BeginUpdate(float* values) {
  values_ = values;
  before_.clear();
  before_at_.resize(cuts_.size());
  if (type_ == DType::kBF16) changes_.resize(static_cast<size_t>(cuts_.back()));
  for (int part = 0; part + 1 < static_cast<int>(cuts_.size()); ++part) {
    const auto [begin, end] = SegmentOf(part);
    if (begin == end) continue;
    if (OwnerOf(part) != ranks_.rank()) {
      void* const to = type_ == DType::kBF16 ? static_cast<void*>(changes_.data() + begin) : values + begin;
      ranks_.Receive(OwnerOf(part), to, static_cast<size_t>(end - begin) * SizeOf(type_), ChannelOfUpdated(part));
    } else if (type_ == DType::kBF16) {
      before_at_[static_cast<size_t>(part)] = before_.size();
      before_.insert(before_.end(), values + begin, values + end);
    }
  }
}

void GradientExchange::SendUpdated(int part) {
  const auto [begin, end] = SegmentOf(part);
  if (begin == end) return;
  const void* data = values_ + begin;
  if (type_ == DType::kBF16) {
    const float* before = before_.data() + before_at_[static_cast<size_t>(part)];
    for (int64_t i = begin; i < end; ++i) {
      changes_[static_cast<size_t>(i)] = ToBFloat16(values_[i] - *before);
      values_[i] = *before++;
    }
    data = changes_.data() + begin;
  }
  const std::lock_guard lock(mutex_);
  for (int peer = 0; peer < ranks_.size(); ++peer) {
    if (peer == ranks_.rank()) continue;
    ranks_.Send(peer, data, static_cast<size_t>(end - begin) * SizeOf(type_), ChannelOfUpdated(part));
  }
}

void GradientExchange::FinishUpdate() {
  ranks_.Wait();
  if (type_ != DType::kBF16) return;
  ParallelBlocks(cuts_.back(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) values_[i] += ToFloat(changes_[static_cast<size_t>(i)]);
  });
}

}  // namespace flashlm
