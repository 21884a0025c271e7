#include "train/leaf_sums.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/parallel.h"

namespace flashlm {

LeafSums::LeafSums(Model& model, DType dtype, bool int8_training, bool side_by_side)
    : model_(model), dtype_(dtype), int8_training_(int8_training), side_by_side_(side_by_side) {
  Prepare(1);
}

void LeafSums::Prepare(size_t workers) {
  while (workers_.size() < workers) {
    auto worker = std::make_unique<Worker>();
    if (!workers_.empty()) worker->packs = std::make_unique<WeightPacks>(model_.bank());
    worker->tape.emplace(model_.bank(), worker->packs ? *worker->packs : model_.packs(), dtype_);
    worker->tape->SetInt8Training(int8_training_);
    worker->tape->SetProfiling(profiling_);
    workers_.push_back(std::move(worker));
  }
}

std::optional<LeafSums::Sum> LeafSums::Begin() {
  const std::lock_guard lock(mutex_);
  if (left_.count() == 0) return std::nullopt;
  const int leaf = left_.begin++;
  ++passing_;
  if (leaf == first_) return Sum{{leaf, leaf + 1}, nullptr};
  if (free_.empty()) free_.push_back(memory_.emplace_back(std::make_unique<GradientsApart>(model_.bank())).get());
  const Sum sum{{leaf, leaf + 1}, free_.back()};
  free_.pop_back();
  return sum;
}

std::optional<LeafSums::Parts> LeafSums::TakeParts(const Sum& sum) {
  for (auto other = sums_.begin(); other != sums_.end(); ++other) {
    const bool in_order = other->leaves.begin < sum.leaves.begin;
    const Parts parts = in_order ? Parts{*other, sum} : Parts{sum, *other};
    if (parts.left.leaves.end != parts.right.leaves.begin) continue;
    if (!IsNode(leaves_, {parts.left.leaves.begin, parts.right.leaves.end})) continue;
    sums_.erase(other);
    return parts;
  }
  return std::nullopt;
}

LeafSums::Sum LeafSums::Add(const Parts& parts) {
  const auto& [left, right] = parts;
  if (left.at == nullptr) {
    right.at->MoveTo(model_.bank());
  } else {
    right.at->MoveTo(*left.at);
  }
  return {{left.leaves.begin, right.leaves.end}, left.at};
}

void LeafSums::End(Sum sum) {
  std::unique_lock lock(mutex_);
  --passing_;
  // The last to end leaves what is left to all threads together.
  while (passing_ > 0 || left_.count() > 0) {
    const std::optional<Parts> parts = TakeParts(sum);
    if (!parts) break;
    lock.unlock();
    sum = Add(*parts);
    lock.lock();
    free_.push_back(parts->right.at);
  }
  sums_.push_back(sum);
}

void LeafSums::Work(int index, const Pass& pass) {
  Worker& worker = *workers_[static_cast<size_t>(index)];
  try {
    while (const std::optional<Sum> sum = Begin()) {
      worker.tape->SetGradients(sum->at);
      pass(*worker.tape, index, sum->leaves.begin);
      End(*sum);
    }
  } catch (...) {
    worker.failure = std::current_exception();
    const std::lock_guard lock(mutex_);
    left_.begin = left_.end;
  }
}

LeafSums::Sum LeafSums::Combine(LeafRange node, size_t& next) {
  if (sums_[next].leaves == node) return sums_[next++];
  const int cut = CutOf(node);
  const Sum left = Combine({node.begin, cut}, next), right = Combine({cut, node.end}, next);
  free_.push_back(right.at);
  return Add({left, right});
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

std::span<const GradientBlock> LeafSums::Run(int leaves, LeafRange range, const Pass& pass) {
  const int count = side_by_side_ ? std::min(ThreadCount(), range.count()) : 1;
  Prepare(static_cast<size_t>(count));
  leaves_ = leaves;
  left_ = range;
  first_ = range.begin;
  passing_ = 0;
  sums_.clear();
  if (side_by_side_) {
    ParallelPieces(count, [&](int64_t i) { Work(static_cast<int>(i), pass); });
  } else {
    Work(0, pass);
  }
  RethrowFailure();
  std::sort(sums_.begin(), sums_.end(), [](const Sum& a, const Sum& b) { return a.leaves.begin < b.leaves.begin; });
  blocks_.clear();
  NodesWithin(leaves, range, nodes_);
  size_t next = 0;
  for (const LeafRange& node : nodes_) {
    GradientsApart* at = Combine(node, next).at;
    blocks_.push_back({node, at == nullptr ? model_.bank().gradients() : at->data()});
    if (at != nullptr) outside_.push_back(at);
  }
  return blocks_;
}

void LeafSums::Clear() {
  for (GradientsApart* at : outside_) at->Clear();
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
