#include "train/leaf_sums.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/parallel.h"

namespace flashlm {

class LeafSums::Watch final : public GradientWatch {
 public:
  explicit Watch(LeafSums& sums) : sums_(sums), taken_in_(sums.cuts_.size() - 1) {}

  void Begin(const Sum& leaf) {
    leaf_ = leaf;
    std::fill(taken_in_.begin(), taken_in_.end(), false);
  }
  // What a pass without a backward pass has left, too.
  void End() {
    for (size_t part = 0; part < taken_in_.size(); ++part) {
      if (!taken_in_[part]) Complete(static_cast<int>(part));
    }
  }

  std::span<const int64_t> cuts() const override { return sums_.cuts_; }
  void Complete(int part) override {
    const auto index = static_cast<size_t>(part);
    taken_in_[index] = true;
    sums_.TakeInAndSend(index, leaf_);
  }
  void Between() override { sums_.exchange_->Progress(); }

 private:
  LeafSums& sums_;
  Sum leaf_{};
  std::vector<bool> taken_in_;  // by part
};

LeafSums::LeafSums(Model& model, DType dtype, bool int8_training, bool side_by_side)
    : model_(model),
      dtype_(dtype),
      int8_training_(int8_training),
      side_by_side_(side_by_side),
      cuts_({0, model.bank().size()}) {
  Prepare(1);
}

LeafSums::~LeafSums() = default;

void LeafSums::SendTo(GradientExchange& exchange) {
  exchange_ = &exchange;
  cuts_.assign(exchange.cuts().begin(), exchange.cuts().end());
  for (const auto& worker : workers_) worker->watch = std::make_unique<Watch>(*this);
}

void LeafSums::Prepare(size_t workers) {
  while (workers_.size() < workers) {
    auto worker = std::make_unique<Worker>();
    worker->tape.emplace(model_.bank(), model_.packs(), dtype_);
    worker->tape->SetInt8Training(int8_training_);
    worker->tape->SetProfiling(profiling_);
    if (exchange_ != nullptr) worker->watch = std::make_unique<Watch>(*this);
    workers_.push_back(std::move(worker));
  }
}

std::optional<LeafSums::Sum> LeafSums::Begin() {
  const std::lock_guard lock(mutex_);
  if (left_.count() == 0) return std::nullopt;
  const int leaf = left_.begin++;
  ++passing_;
  if (leaf == range_.begin) return Sum{{leaf, leaf + 1}, nullptr};
  if (free_.empty()) {
    memory_.push_back(std::make_unique<Memory>(Memory{GradientsApart(model_.bank(), cuts_)}));
    free_.push_back(memory_.back().get());
  }
  const Sum sum{{leaf, leaf + 1}, free_.back()};
  free_.pop_back();
  return sum;
}

std::optional<LeafSums::Sides> LeafSums::TakeSides(size_t part, const Sum& sum) {
  std::vector<Sum>& sums = sums_[part];
  for (auto other = sums.begin(); other != sums.end(); ++other) {
    const bool in_order = other->leaves.begin < sum.leaves.begin;
    const Sides sides = in_order ? Sides{*other, sum} : Sides{sum, *other};
    if (sides.left.leaves.end != sides.right.leaves.begin) continue;
    if (!IsNode(leaves_, {sides.left.leaves.begin, sides.right.leaves.end})) continue;
    sums.erase(other);
    return sides;
  }
  return std::nullopt;
}

LeafSums::Sum LeafSums::Add(size_t part, const Sides& sides) {
  const auto& [left, right] = sides;
  if (left.at == nullptr) {
    right.at->gradients.MoveTo(model_.bank(), static_cast<int>(part));
  } else {
    right.at->gradients.MoveTo(left.at->gradients, static_cast<int>(part));
  }
  return {{left.leaves.begin, right.leaves.end}, left.at};
}

void LeafSums::Release(Memory* memory) {
  if (++memory->added < memory->gradients.parts()) return;
  memory->added = 0;
  free_.push_back(memory);
}

bool LeafSums::TakeIn(size_t part, Sum sum) {
  std::unique_lock lock(mutex_);
  // Without other ranks nobody waits for a sum: the last thread to end leaves what is left for Run to add, on all.
  while (exchange_ != nullptr || passing_ > 0 || left_.count() > 0) {
    const std::optional<Sides> sides = TakeSides(part, sum);
    if (!sides) break;
    lock.unlock();
    sum = Add(part, *sides);
    lock.lock();
    Release(sides->right.at);
  }
  std::vector<Sum>& sums = sums_[part];
  sums.push_back(sum);
  int leaves = 0;
  for (const Sum& one : sums) leaves += one.leaves.count();
  return leaves == range_.count();
}

void LeafSums::TakeInAndSend(size_t part, const Sum& sum) {
  if (!TakeIn(part, sum)) return;
  SortByLeaves(sums_[part]);
  std::vector<GradientBlock> blocks;
  for (const Sum& one : sums_[part]) blocks.push_back(BlockOf(one));
  exchange_->Send(static_cast<int>(part), blocks);
}

void LeafSums::SortByLeaves(std::vector<Sum>& sums) {
  std::sort(sums.begin(), sums.end(), [](const Sum& a, const Sum& b) { return a.leaves.begin < b.leaves.begin; });
}

GradientBlock LeafSums::BlockOf(const Sum& sum) const {
  return {sum.leaves, sum.at == nullptr ? model_.bank().gradients() : sum.at->gradients.data()};
}

void LeafSums::End(const Sum& leaf, Watch* watch) {
  {
    const std::lock_guard lock(mutex_);
    --passing_;
  }
  if (watch == nullptr) {
    TakeIn(0, leaf);
  } else {
    watch->End();
  }
}

void LeafSums::Work(int index, int pieces, const Pass& pass) {
  Worker& worker = *workers_[static_cast<size_t>(index)];
  try {
    while (const std::optional<Sum> leaf = Begin()) {
      worker.tape->SetGradients(leaf->at == nullptr ? nullptr : &leaf->at->gradients);
      if (worker.watch) worker.watch->Begin(*leaf);
      for (int piece = 0; piece < pieces; ++piece) {
        worker.tape->SetWatch(piece + 1 < pieces ? nullptr : worker.watch.get());  // only the last completes a gradient
        pass(*worker.tape, index, leaf->leaves.begin, piece);
      }
      End(*leaf, worker.watch.get());
    }
  } catch (...) {
    worker.failure = std::current_exception();
    const std::lock_guard lock(mutex_);
    left_.begin = left_.end;
  }
  worker.tape->SetWatch(nullptr);
}

LeafSums::Sum LeafSums::Combine(LeafRange node, size_t& next) {
  if (sums_[0][next].leaves == node) return sums_[0][next++];
  const int cut = CutOf(node);
  const Sum left = Combine({node.begin, cut}, next), right = Combine({cut, node.end}, next);
  Release(right.at);
  return Add(0, {left, right});
}

void LeafSums::RethrowFailure() {
  std::exception_ptr failure;
  for (const auto& worker : workers_) {
    if (worker->failure) failure = std::exchange(worker->failure, nullptr);
  }
  if (!failure) return;
  // What was not finished is nobody's sum.
  ForEachTape([](Tape& tape) { tape.SetGradients(nullptr); });
  outside_.clear();
  free_.clear();
  memory_.clear();
  std::rethrow_exception(failure);
}

std::span<const GradientBlock> LeafSums::Run(int leaves, int pieces, LeafRange range, const Pass& pass) {
  const int count = side_by_side_ ? std::min(ThreadCount(), range.count()) : 1;
  Prepare(static_cast<size_t>(count));
  leaves_ = leaves;
  left_ = range_ = range;
  passing_ = 0;
  NodesWithin(leaves, range, nodes_);
  sums_.resize(cuts_.size() - 1);
  for (auto& sums : sums_) sums.clear();
  if (side_by_side_) {
    if (ThreadCount() > 1) model_.packs().Renew();
    ParallelPieces(count, [&](int64_t i) { Work(static_cast<int>(i), pieces, pass); });
  } else {
    Work(0, pieces, pass);
  }
  RethrowFailure();
  // All parts of a sum lie in one place.
  SortByLeaves(sums_[0]);
  blocks_.clear();
  size_t next = 0;
  for (const LeafRange& node : nodes_) {
    const Sum sum = Combine(node, next);
    blocks_.push_back(BlockOf(sum));
    if (sum.at != nullptr) outside_.push_back(sum.at);
  }
  return blocks_;
}

void LeafSums::Clear() {
  for (Memory* at : outside_) {
    at->gradients.Clear();
    at->added = 0;
  }
  free_.insert(free_.end(), outside_.begin(), outside_.end());
  outside_.clear();
}

void LeafSums::SetProfiling(bool on) {
  profiling_ = on;
  for (const auto& worker : workers_) worker->tape->SetProfiling(on);
}

// Every worker has one that it adds to; what was passed before these leaves is one sum for each binary digit 1 of their
// number.
int LeafSums::CopiesFor(int leaves) const {
  const int workers = side_by_side_ ? std::min(ThreadCount(), leaves) : 1;
  return workers + std::bit_width(static_cast<unsigned>(leaves - workers + 1)) - 1;
}

}  // namespace flashlm
