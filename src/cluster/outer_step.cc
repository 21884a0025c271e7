#include "cluster/outer_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "base/parallel.h"

namespace flashlm {
namespace {

constexpr int64_t kInt8Bytes = kCodedBlock + static_cast<int64_t>(sizeof(float));  // of a block with its scale

// Rounds a block to the nearest of 255 steps up to its largest value.
void EncodeInt8(float* values, int64_t n, char* coded) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(values[i]));
  const float scale = largest / 127, inverse = largest > 0 ? 127 / largest : 0;
  std::memcpy(coded, &scale, sizeof(scale));
  auto* steps = reinterpret_cast<int8_t*>(coded + sizeof(scale));
  for (int64_t i = 0; i < n; ++i) {
    steps[i] = static_cast<int8_t>(std::lround(values[i] * inverse));
    values[i] -= scale * static_cast<float>(steps[i]);
  }
}

void DecodeInt8(const char* coded, int64_t n, float* values) {
  float scale;
  std::memcpy(&scale, coded, sizeof(scale));
  const auto* steps = reinterpret_cast<const int8_t*>(coded + sizeof(scale));
  for (int64_t i = 0; i < n; ++i) values[i] = scale * static_cast<float>(steps[i]);
}

// Where the code of value `i`, which begins a block, lies.
int64_t CodedAt(Code code, int64_t i) {
  return code == Code::kInt8 ? i / kCodedBlock * kInt8Bytes : i * (code == Code::kBF16 ? 2 : 4);
}

}  // namespace

Code CodeOf(const std::string& exchange) {
  return exchange == "int8" ? Code::kInt8 : exchange == "bf16" ? Code::kBF16 : Code::kF32;
}

int64_t CodedBytes(Code code, int64_t n) {
  return CodedAt(code, code == Code::kInt8 ? (n + kCodedBlock - 1) / kCodedBlock * kCodedBlock : n);
}

void Encode(Code code, float* values, int64_t n, char* coded) {
  ParallelBlocks(n, kCodedBlock, [&](int64_t begin, int64_t end) {
    float* from = values + begin;
    char* to = coded + CodedAt(code, begin);
    const int64_t count = end - begin;
    if (code == Code::kInt8) return EncodeInt8(from, count, to);
    if (code == Code::kF32) {
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      std::fill_n(from, count, 0.0f);
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      const BFloat16 rounded = ToBFloat16(from[i]);
      std::memcpy(to + 2 * i, &rounded, sizeof(rounded));
      from[i] -= ToFloat(rounded);
    }
  });
}

void Decode(Code code, const char* coded, int64_t n, float* values) {
  ParallelBlocks(n, kCodedBlock, [&](int64_t begin, int64_t end) {
    const char* from = coded + CodedAt(code, begin);
    float* to = values + begin;
    const int64_t count = end - begin;
    if (code == Code::kInt8) return DecodeInt8(from, count, to);
    if (code == Code::kF32) {
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      BFloat16 rounded;
      std::memcpy(&rounded, from + 2 * i, sizeof(rounded));
      to[i] = ToFloat(rounded);
    }
  });
}

OuterStep::OuterStep(Ranks* ranks, const ClusterConfig& config, ParamBank& bank)
    : ranks_(ranks),
      bank_(bank),
      code_(CodeOf(config.exchange)),
      lr_(static_cast<float>(config.outer_lr)),
      momentum_(static_cast<float>(config.outer_momentum)),
      state_(bank) {
  FLASHLM_CHECK(bank.size() < (int64_t{1} << 31), "{} parameters", bank.size());
  state_.Add("outer", std::vector<bool>(bank.infos().size(), true));
  const auto size = static_cast<size_t>(bank.size());
  start_.resize(size);
  difference_.resize(size);
  mean_.resize(size);
  if (ranks_ == nullptr) return;
  const int64_t own = SegmentOf(ranks_->rank()).count();
  lost_.resize(static_cast<size_t>(own));
  sent_.resize(static_cast<size_t>(CodedBytes(code_, bank.size())));
  received_.resize(static_cast<size_t>(CodedBytes(code_, own) * ranks_->size()));
  std::vector<LeafRange> ranks_as_leaves;
  ranks_as_leaves.reserve(static_cast<size_t>(ranks_->size()));
  for (int rank = 0; rank < ranks_->size(); ++rank) ranks_as_leaves.push_back({rank, rank + 1});
  sums_.resize(static_cast<size_t>(SumOrder(ranks_->size(), ranks_as_leaves, order_)),
               std::vector<float>(static_cast<size_t>(own)));
}

// Of whole blocks.
LeafRange OuterStep::SegmentOf(int rank) const {
  const int64_t blocks = (bank_.size() + kCodedBlock - 1) / kCodedBlock;
  const auto at = [&](int r) {
    return static_cast<int>(std::min(bank_.size(), blocks * r / ranks_->size() * kCodedBlock));
  };
  return {at(rank), at(rank + 1)};
}

void OuterStep::Begin() { std::copy_n(bank_.values(), bank_.size(), start_.begin()); }

// Every rank gets what all have of its segment.
void OuterStep::ExchangeSegments() {
  const int64_t own_bytes = CodedBytes(code_, SegmentOf(ranks_->rank()).count());
  for (int peer = 0; peer < ranks_->size(); ++peer) {
    const LeafRange segment = SegmentOf(peer);
    char* const code = sent_.data() + CodedAt(code_, segment.begin);
    char* const place = received_.data() + peer * own_bytes;
    Encode(code_, difference_.data() + segment.begin, segment.count(), code);
    if (peer == ranks_->rank()) {
      std::copy_n(code, own_bytes, place);
      continue;
    }
    ranks_->Receive(peer, place, static_cast<size_t>(own_bytes));
    ranks_->Send(peer, code, static_cast<size_t>(CodedBytes(code_, segment.count())));
  }
  ranks_->Wait();
}

void OuterStep::AverageOwnSegment() {
  const int64_t n = SegmentOf(ranks_->rank()).count();
  size_t top = 0;
  for (const SumOp& op : order_) {
    if (op.block >= 0) {
      Decode(code_, received_.data() + op.block * CodedBytes(code_, n), n, sums_[top++].data());
      continue;
    }
    std::vector<float>&to = sums_[top - 2], &from = sums_[top - 1];
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
    --top;
  }
  const auto share = 1 / static_cast<float>(ranks_->size());
  for (size_t i = 0; i < lost_.size(); ++i) lost_[i] += share * sums_[0][i];
}

void OuterStep::Average() {
  if (ranks_ == nullptr) {
    mean_.swap(difference_);
    std::fill(difference_.begin(), difference_.end(), 0.0f);
    return;
  }
  ExchangeSegments();
  AverageOwnSegment();
  const LeafRange own = SegmentOf(ranks_->rank());
  Encode(code_, lost_.data(), own.count(), sent_.data() + CodedAt(code_, own.begin));
  ranks_->ShareParts(sent_.data(), [this](int rank) {
    const LeafRange segment = SegmentOf(rank);
    return Ranks::Part{static_cast<size_t>(CodedAt(code_, segment.begin)),
                       static_cast<size_t>(CodedBytes(code_, segment.count()))};
  });
  Decode(code_, sent_.data(), bank_.size(), mean_.data());
}

void OuterStep::Run() {
  const float* const values = bank_.values();
  for (size_t i = 0; i < start_.size(); ++i) difference_[i] += start_[i] - values[i];
  Average();
  const ParamState::Array& outer = state_.arrays()[0];
  for (size_t p = 0; p < bank_.infos().size(); ++p) {
    const ParamInfo& info = bank_.infos()[p];
    float* v = outer.Of(p);
    float* const from = start_.data() + info.offset;
    const float* const g = mean_.data() + info.offset;
    ParallelBlocks(info.size, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        v[i] = momentum_ * v[i] + g[i];
        from[i] -= lr_ * (g[i] + momentum_ * v[i]);
      }
    });
  }
  std::copy(start_.begin(), start_.end(), bank_.values());
  bank_.Touch();
}

}  // namespace flashlm
