// A step that ranks share: what they tell each other beside gradients (cluster/gradient_exchange.h).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
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
  // Calls f(first, end) for the blocks that begin in each part that a rank updates.
  const auto for_blocks = [&](int rank, const auto& f) {
    for (const auto& [begin, end] : exchange_->UpdatedBy(rank))
      f((begin + block - 1) / block, (end + block - 1) / block);
  };
  std::vector<Ranks::Part> places;  // of each rank's numbers
  size_t place = 0;
  for (int r = 0; r < ranks_->size(); ++r) {
    size_t count = static_cast<size_t>(ShareOf(leaves, r, ranks_->size()).count()) * length;
    for_blocks(r, [&](int64_t first, int64_t end) { count += static_cast<size_t>(end - first); });
    places.push_back({place * sizeof(double), count * sizeof(double)});
    place += count;
  }
  numbers_.resize(place);
  squares_.assign(kernels::kMostSquareBlocks, 0);
  const int rank = ranks_->rank();
  double* to = numbers_.data() + places[static_cast<size_t>(rank)].begin / sizeof(double);
  for (int leaf = own.begin; leaf < own.end; ++leaf) {
    const ObjectiveParts& parts = parts_[static_cast<size_t>(leaf)];
    FLASHLM_CHECK(parts.parts().size() + 2 == length, "leaves with different parts");
    *to++ = parts.cross_entropy;
    *to++ = parts.total;
    for (const auto& part : parts.parts()) *to++ = part.value;
  }
  for_blocks(rank, [&](int64_t first, int64_t end) {
    kernels::SumSquareBlocks(model_.bank().gradients(), size, first, end, squares_.data());
    to = std::copy(squares_.begin() + first, squares_.begin() + end, to);
  });
  ranks_->ShareParts(numbers_.data(), [&](int of) { return places[static_cast<size_t>(of)]; });
  for (int peer = 0; peer < ranks_->size(); ++peer) {
    if (peer == rank) continue;
    const LeafRange share = ShareOf(leaves, peer, ranks_->size());
    const double* from = numbers_.data() + places[static_cast<size_t>(peer)].begin / sizeof(double);
    for (int leaf = share.begin; leaf < share.end; ++leaf) {
      ObjectiveParts& parts = parts_[static_cast<size_t>(leaf)];
      parts.cross_entropy = *from++;
      parts.total = *from++;
      for (const auto& part : known.parts()) parts.Append(part.name) = *from++;
    }
    for_blocks(peer, [&](int64_t first, int64_t end) {
      std::copy_n(from, end - first, squares_.begin() + first);
      from += end - first;
    });
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

class TrainingStep::SendsUpdated final : public UpdateWatch {
 public:
  explicit SendsUpdated(GradientExchange& exchange) : exchange_(exchange) {}

  void Updated(int part) override {
    Try([&] { exchange_.SendUpdated(part); });
  }
  void Between() override {
    Try([&] { exchange_.Progress(); });
  }
  void RethrowFailure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  // Threads that update cannot throw.
  template <class Work>
  void Try(const Work& work) {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
  }

  GradientExchange& exchange_;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

void TrainingStep::UpdateShared(const StepPlan& plan, double gradient_norm) {
  ParamBank& bank = model_.bank();
  exchange_->BeginUpdate(bank.values());
  SendsUpdated sends(*exchange_);
  optimizer_.Update(gradient_norm, plan.factor, state_.updates, plan.fraction, &sends);
  sends.RethrowFailure();
  const Stopwatch watch;
  // What others update has no gradient here any more; a rule leaves zeros in its own.
  int64_t end = 0;
  for (const auto& own : exchange_->UpdatedBy(ranks_->rank())) {
    std::fill(bank.gradients() + end, bank.gradients() + own.begin, 0.0f);
    end = own.end;
  }
  std::fill(bank.gradients() + end, bank.gradients() + bank.size(), 0.0f);
  exchange_->FinishUpdate();
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
