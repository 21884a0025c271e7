// A step that ranks share: what they tell each other beside gradients (cluster/gradient_exchange.h).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "kernels/vector/block_squares.h"
#include "train/step.h"

namespace flashlm {

// Each rank sends the parts of its leaves, and the squares of the blocks of the gradient that begin where it updates.
void TrainingStep::ExchangeParts(LeafRange own) {
  const ObjectiveParts& known = parts_[static_cast<size_t>(own.begin)];
  const size_t length = 2 + known.parts().size();
  const auto leaves = static_cast<int>(parts_.size());
  const int64_t size = model_.bank().size(), block = kernels::SquareBlock(size);
  const auto first_block = [&](int rank) { return (exchange_->UpdatedBy(rank).begin + block - 1) / block; };
  const auto end_block = [&](int rank) {
    return rank + 1 < ranks_->size() ? first_block(rank + 1) : (size + block - 1) / block;
  };
  const auto begin_of = [&](int rank) {
    return static_cast<size_t>(ShareOf(leaves, rank, ranks_->size()).begin) * length +
           static_cast<size_t>(first_block(rank));
  };
  numbers_.resize(parts_.size() * length + kernels::kMostSquareBlocks);
  squares_.assign(kernels::kMostSquareBlocks, 0);
  const int rank = ranks_->rank();
  double* to = numbers_.data() + begin_of(rank);
  for (int leaf = own.begin; leaf < own.end; ++leaf) {
    const ObjectiveParts& parts = parts_[static_cast<size_t>(leaf)];
    FLASHLM_CHECK(parts.parts().size() + 2 == length, "leaves with different parts");
    *to++ = parts.cross_entropy;
    *to++ = parts.total;
    for (const auto& part : parts.parts()) *to++ = part.value;
  }
  kernels::SumSquareBlocks(model_.bank().gradients(), size, first_block(rank), end_block(rank), squares_.data());
  std::copy(squares_.begin() + first_block(rank), squares_.begin() + end_block(rank), to);
  ranks_->ShareParts(numbers_.data(), [&](int of) {
    const size_t count = static_cast<size_t>(ShareOf(leaves, of, ranks_->size()).count()) * length +
                         static_cast<size_t>(end_block(of) - first_block(of));
    return Ranks::Part{begin_of(of) * sizeof(double), count * sizeof(double)};
  });
  for (int peer = 0; peer < ranks_->size(); ++peer) {
    if (peer == rank) continue;
    const LeafRange share = ShareOf(leaves, peer, ranks_->size());
    const double* from = numbers_.data() + begin_of(peer);
    for (int leaf = share.begin; leaf < share.end; ++leaf) {
      ObjectiveParts& parts = parts_[static_cast<size_t>(leaf)];
      parts.cross_entropy = *from++;
      parts.total = *from++;
      for (const auto& part : known.parts()) parts.Append(part.name) = *from++;
    }
    std::copy_n(from, end_block(peer) - first_block(peer), squares_.begin() + first_block(peer));
  }
  if (model_.Depth() >= 0) ExchangeRecords();
}

// In the order of kernels::SumOfSquares.
double TrainingStep::SharedNorm() const {
  double total = 0;
  for (const double sum : squares_) total += sum;
  return std::sqrt(total);
}

void TrainingStep::ExchangeRecords() {
  const std::vector<float> own = model_.PassRecords();
  const std::vector<std::string> all =
      ranks_->Gather({reinterpret_cast<const char*>(own.data()), own.size() * sizeof(float)});
  for (int peer = 0; peer < ranks_->size(); ++peer) {
    if (peer == ranks_->rank()) continue;
    const std::string& bytes = all[static_cast<size_t>(peer)];
    std::vector<float> records(bytes.size() / sizeof(float));
    std::memcpy(records.data(), bytes.data(), bytes.size());
    model_.AddPassRecords(records);
  }
}

void TrainingStep::ShareUpdate() {
  const Stopwatch watch;
  ParamBank& bank = model_.bank();
  // What others update has no gradient here any more; a rule leaves zeros in its own.
  const auto own = exchange_->UpdatedBy(ranks_->rank());
  std::fill(bank.gradients(), bank.gradients() + own.begin, 0.0f);
  std::fill(bank.gradients() + own.end, bank.gradients() + bank.size(), 0.0f);
  exchange_->ShareValues(bank.values());
  bank.Touch();
  const double seconds = watch.Seconds();
  exchange_seconds_ += seconds;
  optimizer_seconds_ -= seconds;
}

void TrainingStep::CollectState() {
  if (!exchange_) return;
  for (int rank = 1; rank < ranks_->size(); ++rank) {
    if (!ranks_->first() && rank != ranks_->rank()) continue;
    for (const std::span<float> state : optimizer_.MemoryOf(rank)) {
      if (ranks_->first()) {
        ranks_->Receive(rank, state.data(), state.size_bytes());
      } else {
        ranks_->Send(0, state.data(), state.size_bytes());
      }
    }
  }
  ranks_->Wait();
}

}  // namespace flashlm
